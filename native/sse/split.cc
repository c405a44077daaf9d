// Finds line ends 64 bytes at a time, then looks at each line once.
// Called by bind/. Promises: see split.h.
#include "split.h"

#include <algorithm>
#include <cstring>

#include "../core/block.h"

namespace sluice::sse {
namespace {

constexpr size_t step = 64;

/// First LF or CR at or after `at`, or the end.
size_t find_line_end(Bytes bytes, size_t at) {
  for (; at + step <= bytes.size; at += step) {
    const Block block(bytes.data + at);
    const uint64_t hits = block.equal('\n') | block.equal('\r');
    if (hits != 0) return at + lowest_bit(hits);
  }
  while (at < bytes.size && bytes.data[at] != '\n' && bytes.data[at] != '\r') at++;
  return at;
}

template <size_t N>
bool is_name(const uint8_t* start, const uint8_t* end, const char (&name)[N]) {
  return static_cast<size_t>(end - start) == N - 1 && std::memcmp(start, name, N - 1) == 0;
}

bool is_digits(const uint8_t* start, const uint8_t* end) {
  return start < end && std::all_of(start, end, [](uint8_t byte) { return byte >= '0' && byte <= '9'; });
}

/// Notes one line that is not blank. Without a colon it is a field with an empty value; a leading colon makes it a comment.
void note_field(Bytes bytes, size_t line, size_t stop, int32_t* event) {
  const uint8_t* const start = bytes.data + line;
  const uint8_t* const end = bytes.data + stop;
  const uint8_t* const name_end = std::find(start, end, ':');
  const uint8_t* value = name_end == end ? end : name_end + 1;
  if (value < end && *value == ' ') value++;
  const int32_t value_start = bytes.origin + static_cast<int32_t>(value - bytes.data);
  const int32_t value_end = bytes.origin + static_cast<int32_t>(stop);
  if (is_name(start, name_end, "data")) {
    if (event[event::data_lines]++ == 0) event[event::data_start] = value_start;
    event[event::data_end] = value_end;
  } else if (is_name(start, name_end, "event")) {
    event[event::type_start] = value_start;
    event[event::type_end] = value_end;
  } else if (is_name(start, name_end, "id")) {
    if (std::find(value, end, uint8_t{0}) != end) return;
    event[event::id_start] = value_start;
    event[event::id_end] = value_end;
  } else if (is_name(start, name_end, "retry")) {
    if (!is_digits(value, end)) return;
    event[event::retry_start] = value_start;
    event[event::retry_end] = value_end;
  }
}

void begin(int32_t* event, int32_t start) {
  std::fill(event, event + event::length, -1);
  event[event::start] = start;
  event[event::data_lines] = 0;
}

}  // namespace

int32_t split_events(Bytes bytes, bool last, Numbers out) {
  const auto most = static_cast<int32_t>(std::min<size_t>(out.size / event::length, INT32_MAX));
  int32_t count = 0;
  int32_t* event = out.data;
  size_t line = 0;
  if (most > 0) begin(event, bytes.origin);
  while (count < most) {
    const size_t stop = find_line_end(bytes, line);
    if (stop == bytes.size) break;
    const bool is_cr = bytes.data[stop] == '\r';
    // A CR at the very end may be the first half of a CRLF.
    if (is_cr && stop + 1 == bytes.size && !last) break;
    const bool is_pair = is_cr && stop + 1 < bytes.size && bytes.data[stop + 1] == '\n';
    const size_t next = stop + (is_pair ? 2 : 1);
    if (stop > line) {
      note_field(bytes, line, stop, event);
    } else {
      event[event::end] = bytes.origin + static_cast<int32_t>(next);
      count++;
      event += event::length;
      if (count < most) begin(event, bytes.origin + static_cast<int32_t>(next));
    }
    line = next;
  }
  return count;
}

}  // namespace sluice::sse
