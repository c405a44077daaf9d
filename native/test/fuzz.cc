// What libFuzzer calls: any bytes through scan on every kernel, through the head parser, the event splitter and the route look-up.
// Built as sluice_fuzz and run by `npm run fuzz`. Promises: stops at any difference between kernels, between the fast and the
// plain way of reading, between a stream and its cuts, between a route table and a map, and (built with sanitizers) at any read outside of the bytes.
// With SLUICE_FUZZ_CANARY set the input "canary!" must fail: scripts/fuzz.ts lets the fuzzer look for it first, so that one that
// finds nothing later has been seen to find.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "../core/limits.h"
#include "../http/head.h"
#include "../http/places.h"
#include "../route/message.h"
#include "../sse/split.h"
#include "check.h"
#include "compare.h"
#include "route_table.h"

namespace {

using sluice::Bytes;
using sluice::HeadResult;
using sluice::Scan;
namespace event = sluice::sse::event;
namespace head = sluice::head;

void demand(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

void try_scan(const Bytes& text) {
  static sluice::test::Kernels kernels;
  int32_t out[sluice::envelope::length];
  std::string dispute;
  kernels.scan(text, out, dispute);
  demand(dispute.empty(), dispute.c_str());
}

void try_head(const Bytes& bytes) {
  int32_t out[head::headers + 4 * sluice::limits::reply_header_count_max];
  const HeadResult whole = sluice::http::parse_head(bytes, out);
  if (whole == HeadResult::ok) {
    const int32_t body = out[head::body_start];
    demand(body > 0 && static_cast<size_t>(body) <= bytes.size, "the body starts outside of the bytes");
    const Bytes cut{bytes.data, static_cast<size_t>(body) - 1, 0};
    demand(sluice::http::parse_head(cut, out) == HeadResult::more, "a cut head is not `more`");
  } else if (whole == HeadResult::more && bytes.size > 0) {
    const Bytes cut{bytes.data, bytes.size - 1, 0};
    demand(sluice::http::parse_head(cut, out) == HeadResult::more, "a fault went away with more bytes");
  }
}

std::vector<int32_t> events_of(const Bytes& bytes, bool last) {
  std::vector<int32_t> out(static_cast<size_t>(event::length) * (bytes.size + 1));
  const int32_t count = sluice::sse::split_events(bytes, last, {out.data(), out.size()});
  out.resize(static_cast<size_t>(count * event::length));
  return out;
}

void try_split(const Bytes& bytes) {
  const std::vector<int32_t> whole = events_of(bytes, true);
  int32_t at = 0;
  for (size_t i = 0; i < whole.size(); i += event::length) {
    demand(whole[i + event::start] == at && whole[i + event::end] > at, "events do not follow each other");
    at = whole[i + event::end];
  }
  demand(static_cast<size_t>(at) <= bytes.size, "an event ends outside of the bytes");
  // The same bytes in two pieces.
  const size_t cut = bytes.size / 2;
  std::vector<int32_t> pieces = events_of({bytes.data, cut, 0}, false);
  const size_t start = pieces.empty() ? 0 : static_cast<size_t>(pieces[pieces.size() - event::length + event::end]);
  const std::vector<int32_t> rest = events_of({bytes.data + start, bytes.size - start, static_cast<int32_t>(start)}, true);
  pieces.insert(pieces.end(), rest.begin(), rest.end());
  demand(pieces == whole, "events depend on where the stream was cut");
}

const std::vector<sluice::test::Entry>& routes() {
  using sluice::route_kind::name;
  using sluice::route_kind::uri;
  static const std::vector<sluice::test::Entry> entries = {
      {0, name, true, "a__", 1}, {0, name, true, "a__b__", 2}, {0, name, true, "x___", 3}, {0, name, true, "__", 4},
      {0, name, false, "plain", 5}, {0, name, false, "a__c", 6}, {0, uri, true, "a+", 7}, {0, uri, true, "a+b+", 8},
  };
  return entries;
}

void try_routes(const Bytes& bytes) {
  static sluice::test::Publisher publisher(16, 128);
  static const sluice::test::Model model(routes());
  static sluice::route::Table table;
  if (publisher.epoch() == 0) {
    demand(table.open(publisher.words(), publisher.count()), "a table does not open");
    publisher.publish(routes());
  }
  const std::string text(reinterpret_cast<const char*>(bytes.data), bytes.size);
  for (const int32_t kind : {sluice::route_kind::name, sluice::route_kind::uri}) {
    const sluice::route::Answer got = table.find({0, kind, bytes.data, bytes.size});
    const sluice::route::Answer wanted = model.find(0, kind, text);
    demand(got.upstream == wanted.upstream && (got.upstream < 0 || got.strip == wanted.strip), "a route differs from the map's");
  }
  namespace envelope = sluice::envelope;
  static sluice::scan::Scanner scanner;
  int32_t out[envelope::length];
  Scan verdict;
  if (!scanner.scan(bytes, out, verdict) || verdict != Scan::ok) return;
  sluice::route::route_message(table, bytes, 0, out);
  if (out[envelope::route] < 0) return;
  const int32_t place = out[envelope::route_place];
  const int32_t start = out[place] + 1;
  const int32_t size = out[place + 1] - 1 - start;
  const int32_t kind = place == envelope::name || place == envelope::ref_name ? sluice::route_kind::name : sluice::route_kind::uri;
  const sluice::route::Answer wanted = model.find(0, kind, text.substr(static_cast<size_t>(start), static_cast<size_t>(size)));
  demand(wanted.upstream == out[envelope::route] && wanted.strip == out[envelope::route_strip], "a message is routed elsewhere");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const bool has_canary = std::getenv("SLUICE_FUZZ_CANARY") != nullptr;
  const bool is_canary = std::string_view(reinterpret_cast<const char*>(data), size) == "canary!";
  demand(!has_canary || !is_canary, "the canary, as it must be");
  const sluice::test::Exact exact(std::string_view(reinterpret_cast<const char*>(data), size));
  try_scan(exact.bytes());
  try_head(exact.bytes());
  try_split(exact.bytes());
  try_routes(exact.bytes());
  return 0;
}
