// Sixty-four bytes at a time; byte by byte only for \uXXXX.
// Called by scanner.cc. Promises: see escapes.h.
#include "escapes.h"

#include <cstring>

#include "../core/block.h"

namespace sluice::scan {
namespace {

constexpr size_t step = 64;

/// Follows runs of backslashes from block to block.
class Runs {
 public:
  /// The characters of the block that a backslash escapes, given its backslashes.
  /// In a run, every other backslash escapes what comes behind it: adding the run's bits carries from where it starts to
  /// where it ends, and whether it started on an even or odd place tells which of its members are meant.
  uint64_t escaped(uint64_t backslashes) {
    constexpr uint64_t odd_places = 0xaaaaaaaaaaaaaaaa;
    const uint64_t starting = backslashes & ~open_;
    const uint64_t behind = (((starting << 1) | odd_places) - starting) ^ odd_places;
    const uint64_t result = behind ^ (backslashes | open_);
    open_ = (behind & backslashes) >> 63;
    return result;
  }

  /// Whether the last backslash so far escapes a character that has not come yet.
  bool open() const { return open_ != 0; }

 private:
  uint64_t open_ = 0;
};

/// Judges the escaped characters of the block that text[at] starts.
bool judge(const Block& block, const uint8_t* text, size_t size, size_t at, uint64_t backslashes, uint64_t escaped) {
  uint64_t rest = escaped & ~(backslashes | block.equal('"') | block.equal('n'));
  if (rest == 0) return true;
  rest &= ~(block.equal('/') | block.equal('t') | block.equal('r') | block.equal('b') | block.equal('f'));
  for (; rest != 0; rest &= rest - 1) {
    const size_t place = at + lowest_bit(rest) - 1;
    if (escape_length(text + place, size - place) != 6) return false;
  }
  return true;
}

}  // namespace

size_t escape_length(const uint8_t* text, size_t size) {
  if (size < 2) return 0;
  switch (text[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      return 2;
    case 'u':
      if (size < 6) return 0;
      return (hex_value(text[2]) | hex_value(text[3]) | hex_value(text[4]) | hex_value(text[5])) < 16 ? 6 : 0;
    default:
      return 0;
  }
}

Escapes look_for_escapes(const uint8_t* text, size_t size) {
  Escapes found{true, false, false};
  Runs runs;
  uint8_t padded[step];
  for (size_t at = 0; at < size; at += step) {
    const uint8_t* from = text + at;
    if (size - at < step) {
      std::memset(padded, 0, step);
      std::memcpy(padded, from, size - at);
      from = padded;
    }
    const Block block(from);
    // Once a newline was seen, it must not hold up the rest of a pretty-printed text.
    const bool is_plain = found.newline ? !block.holds('\\') : !block.holds_any('\\', '\n', '\r');
    if (is_plain && !runs.open()) continue;
    if (!found.newline) found.newline = (block.equal('\n') | block.equal('\r')) != 0;
    const uint64_t backslashes = block.equal('\\');
    const uint64_t escaped = runs.escaped(backslashes);
    if (escaped == 0) continue;
    found.any = true;
    if (!judge(block, text, size, at, backslashes, escaped)) found.sound = false;
  }
  if (runs.open()) found.sound = false;
  return found;
}

}  // namespace sluice::scan
