// A recursive-descent reader with its stack in an array.
// Called by scanner.cc. Promises: see strict.h.
#include "strict.h"

#include <bitset>
#include <cstring>

#include "../core/limits.h"
#include "escapes.h"

namespace sluice::scan {
namespace {

bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }
bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

class Reader {
 public:
  Reader(const uint8_t* text, size_t size) : at_(text), end_(text + size) {}

  Scan read() {
    blank();
    if (at_ == end_) return Scan::empty;
    const Scan verdict = value();
    if (verdict != Scan::ok) return verdict;
    blank();
    return at_ == end_ ? Scan::ok : Scan::syntax;
  }

 private:
  uint8_t peek() const { return at_ < end_ ? *at_ : uint8_t{0}; }

  void blank() {
    while (at_ < end_ && is_blank(*at_)) at_++;
  }

  bool take(uint8_t byte) {
    if (peek() != byte) return false;
    at_++;
    return true;
  }

  /// One value with all that it holds.
  Scan value() {
    size_t depth = 0;
    for (;;) {
      const uint8_t first = peek();
      if (first == '{' || first == '[') {
        if (depth == limits::json_depth_max) return Scan::depth;
        is_object_[depth++] = first == '{';
        at_++;
        blank();
        if (peek() != first + 2) {
          if (first == '{' && !key()) return Scan::syntax;
          continue;
        }
        at_++;
        depth--;
      } else if (!scalar(first)) {
        return Scan::syntax;
      }
      for (;;) {
        if (depth == 0) return Scan::ok;
        blank();
        const bool in_object = is_object_[depth - 1];
        if (take(',')) {
          blank();
          if (in_object && !key()) return Scan::syntax;
          break;
        }
        if (!take(in_object ? '}' : ']')) return Scan::syntax;
        depth--;
      }
    }
  }

  bool key() {
    if (peek() != '"' || !string()) return false;
    blank();
    if (!take(':')) return false;
    blank();
    return true;
  }

  bool scalar(uint8_t first) {
    switch (first) {
      case '"':
        return string();
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  template <size_t N>
  bool word(const char (&text)[N]) {
    if (static_cast<size_t>(end_ - at_) < N - 1 || std::memcmp(at_, text, N - 1) != 0) return false;
    at_ += N - 1;
    return true;
  }

  bool string() {
    at_++;
    while (at_ < end_) {
      if (*at_ == '"') {
        at_++;
        return true;
      }
      if (*at_ < 0x20) return false;
      const size_t length = *at_ == '\\' ? escape_length(at_, static_cast<size_t>(end_ - at_)) : 1;
      if (length == 0) return false;
      at_ += length;
    }
    return false;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('-')) take('+');
    return digits();
  }

  bool digits() {
    const uint8_t* from = at_;
    while (is_digit(peek())) at_++;
    return at_ > from;
  }

  const uint8_t* at_;
  const uint8_t* const end_;
  std::bitset<limits::json_depth_max> is_object_;
};

}  // namespace

Scan strict_verdict(const uint8_t* text, size_t size) { return Reader(text, size).read(); }

}  // namespace sluice::scan
