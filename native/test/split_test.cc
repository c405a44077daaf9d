// Event streams: cut at every place, in every mix of line ends. Built into sluice_tests.
// Promises: together with a sanitizer, that nothing outside of the bytes is read; the meaning is tested from TypeScript.
#include "../sse/split.h"

#include <random>
#include <string>
#include <vector>

#include "check.h"

namespace {

using sluice::test::Exact;
namespace event = sluice::sse::event;

/// All events of a stream that arrives in two pieces, as flat numbers relative to the stream.
std::vector<int32_t> split(const std::string& stream, size_t cut) {
  std::vector<int32_t> all;
  size_t start = 0;
  for (const size_t end : {cut, stream.size()}) {
    const Exact piece(stream.substr(start, end - start));
    int32_t out[event::length * 100];
    const auto origin = static_cast<int32_t>(start);
    const int32_t count = sluice::sse::split_events(piece.bytes(origin), end == stream.size(), {out, event::length * 100});
    all.insert(all.end(), out, out + count * event::length);
    if (count > 0) start = static_cast<size_t>(out[(count - 1) * event::length + event::end]);
  }
  return all;
}

}  // namespace

TEST("one event, with its fields") {
  const std::vector<int32_t> found = split("event: a\r\ndata: xy\nid:7\rretry: 25\n\nrest", 0);
  const std::vector<int32_t> wanted = {0, 35, 16, 18, 1, 7, 8, 22, 23, 31, 33, -1};
  CHECK(found == wanted);
}

TEST("any cut gives the same events") {
  std::mt19937 random(7);
  const std::string parts[] = {"data: x", "data", "id: 1", ":", "event:a", "retry:5", "\n", "\r", "\r\n", "\n\n", std::string(70, 'y')};
  for (int round = 0; round < 300; round++) {
    std::string stream;
    for (int i = 0; i < 12; i++) stream += parts[random() % 11];
    const std::vector<int32_t> whole = split(stream, 0);
    for (size_t cut = 0; cut <= stream.size(); cut++) CHECK_FOR(stream, split(stream, cut) == whole);
  }
}

TEST("no room, no events") {
  const Exact stream("data: x\n\n");
  int32_t out[event::length];
  CHECK(sluice::sse::split_events(stream.bytes(), true, {out, event::length - 1}) == 0);
  CHECK(sluice::sse::split_events(stream.bytes(), true, {out, event::length}) == 1);
}
