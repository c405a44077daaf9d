// Response heads: cut, changed and long. Built into sluice_tests.
// Promises: together with a sanitizer, that nothing outside of the bytes is read; the meaning is tested from TypeScript.
#include "../http/head.h"

#include <string>

#include "../core/limits.h"
#include "../http/places.h"
#include "check.h"

namespace {

using sluice::HeadResult;
using sluice::test::Exact;
namespace head = sluice::head;

constexpr size_t room = head::headers + 4 * sluice::limits::reply_header_count_max;
const std::string whole =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nMcp-Session-Id:\t a \r\nConnection: x, keep-alive\r\nContent-Length: 17\r\n\r\n";

HeadResult parse(const std::string& text, int32_t* out) { return sluice::http::parse_head(Exact(text, 3).bytes(3), out); }

bool places_are_inside(const int32_t* out, size_t size) {
  const auto end = static_cast<int32_t>(size) + 3;
  if (out[head::body_start] < 3 || out[head::body_start] > end) return false;
  for (int32_t slot = head::headers; slot < head::headers + 4 * out[head::header_count]; slot += 2) {
    if (out[slot] < 3 || out[slot] > out[slot + 1] || out[slot + 1] > end) return false;
  }
  return true;
}

}  // namespace

TEST("a head is whole, or more is needed") {
  int32_t out[room];
  CHECK(parse(whole, out) == HeadResult::ok);
  CHECK(out[head::body_start] == static_cast<int32_t>(whole.size()) + 3);
  CHECK(out[head::content_length] == 17);
  CHECK(out[head::header_count] == 4);
  for (size_t size = 0; size < whole.size(); size++) CHECK(parse(whole.substr(0, size), out) == HeadResult::more);
}

TEST("a head with each byte changed into every value, and cut behind it") {
  int32_t out[room];
  std::string changed = whole;
  for (size_t at = 0; at < whole.size(); at++) {
    for (int byte = 0; byte < 256; byte++) {
      changed[at] = static_cast<char>(byte);
      if (parse(changed, out) == HeadResult::ok) CHECK_FOR(changed, places_are_inside(out, changed.size()));
      CHECK(parse(changed.substr(0, at + 1), out) != HeadResult::ok || at + 1 == whole.size());
    }
    changed[at] = whole[at];
  }
}

TEST("too many lines, too many bytes") {
  int32_t out[room];
  std::string lines = "HTTP/1.0 404 x\r\n";
  for (size_t i = 0; i < sluice::limits::reply_header_count_max; i++) lines += "a:\r\n";
  CHECK(parse(lines + "\r\n", out) == HeadResult::ok);
  CHECK(parse(lines + "a:\r\n\r\n", out) == HeadResult::large);
  const std::string start = "HTTP/1.1 200 OK\r\nA: ";
  const std::string fill(sluice::limits::reply_head_bytes_max - start.size() - 4, 'x');
  CHECK(parse(start + fill + "\r\n\r\n", out) == HeadResult::ok);
  CHECK(parse(start + fill + "x\r\n\r\n", out) == HeadResult::large);
}
