// The levels of a message that hold something of interest, and the verdicts on what was found there.
// Called by scanner.cc. Promises: see walk.h; at most four calls deep.
#include "walk.h"

#include <cstring>

#include "../core/limits.h"
#include "envelope.h"
#include "escapes.h"
#include "keys.h"
#include "scalar.h"
#include "skip.h"
#include "strict.h"

namespace sluice::scan {
namespace {

/// What the string text[0…size), given without its quotes, stands for. -1 when that is too long or not ASCII throughout.
int unescape(const uint8_t* text, size_t size, uint8_t* out) {
  size_t length = 0;
  for (size_t at = 0; at < size;) {
    unsigned code = text[at];
    if (code != '\\') {
      at++;
    } else {
      const size_t escape = escape_length(text + at, size - at);
      if (escape == 0) return -1;
      if (escape == 6) {
        code = hex_value(text[at + 2]) << 12 | hex_value(text[at + 3]) << 8 | hex_value(text[at + 4]) << 4 |
               hex_value(text[at + 5]);
      } else {
        const uint8_t letter = text[at + 1];
        code = letter == 'b'   ? '\b'
               : letter == 'f' ? '\f'
               : letter == 'n' ? '\n'
               : letter == 'r' ? '\r'
               : letter == 't' ? '\t'
                               : letter;
      }
      at += escape;
    }
    if (code >= 0x80 || length == limits::json_known_key_bytes_max) return -1;
    out[length++] = static_cast<uint8_t>(code);
  }
  return static_cast<int>(length);
}

class Walker {
 public:
  Walker(const Bytes& text, const Index& index, int32_t* slots)
      : text_(text.data),
        size_(text.size),
        origin_(text.origin),
        at_(index.places),
        last_(index.places + index.count),
        slots_(slots),
        has_escapes_(index.has_escapes) {}

  bool run() {
    if (at_ == last_) return false;
    const uint8_t first = text_[*at_];
    if (first != '{' && first != '[') return scalar();
    // See skip.h: with this, only closing brackets can be last.
    if (text_[last_[-1]] != first + 2) return false;
    if (first == '{') {
      if (!object(Level::top, 1)) return false;
      judge();
    } else {
      deepest_ = 1;
      kind_ = kind::batch;
      if (!batch()) return false;
    }
    if (at_ != last_) return false;
    put(kind_, flags_, deepest_, batch_count_);
    return true;
  }

 private:
  void put(int32_t kind, int32_t flags, size_t deepest, int32_t batch_count) {
    slots_[envelope::kind] = kind;
    slots_[envelope::flags] = flags;
    slots_[envelope::depth] = static_cast<int32_t>(deepest);
    slots_[envelope::batch_count] = batch_count;
  }

  /// A text that is one scalar: no message, so it is read the plain way, which needs no bracket behind it.
  bool scalar() {
    if (strict_verdict(text_, size_) != Scan::ok) return false;
    put(kind::none, 0, 0, 0);
    return true;
  }

  bool batch() {
    at_++;
    if (text_[*at_] == ']') {
      flags_ |= flag::empty_batch;
      at_++;
      return true;
    }
    for (;;) {
      at_ = skip_value({text_, last_}, at_, 1, deepest_);
      if (at_ == nullptr) return false;
      batch_count_++;
      if (at_ == last_) return false;
      const uint8_t byte = text_[*at_++];
      if (byte == ']') return true;
      if (byte != ',') return false;
    }
  }

  /// An object with known keys; at_ is at its opening bracket, and it is the `depth`-th container from outside.
  /// Works on a copy of at_, which stays in a register.
  bool object(Level level, size_t depth) {
    const uint8_t* const text = text_;
    const uint32_t* at = at_ + 1;
    if (depth > deepest_) deepest_ = depth;
    uint64_t seen = 0;
    if (text[*at] == '}') {
      at_ = at + 1;
      return true;
    }
    for (;;) {
      const uint32_t key = *at;
      if (text[key] != '"' || text[at[1]] != ':') return false;
      const int32_t slot = find(level, key, at[1]);
      at += 2;
      const uint32_t start = *at;
      const uint8_t first = text[start];
      uint32_t end = 0;
      if (slot != unknown_key) {
        const uint64_t bit = uint64_t{1} << (slot / 2);
        if ((seen & bit) != 0) repeated(level, slot);
        seen |= bit;
      }
      if (first == '{' || first == '[') {
        const Level child = first == '{' ? level_of(slot) : Level::none;
        if (child != Level::none) {
          at_ = at;
          if (!object(child, depth + 1)) return false;
          at = at_;
        } else {
          at = skip_value({text, last_}, at, depth, deepest_);
          if (at == nullptr) return false;
        }
        end = at[-1] + 1;
        if (at == last_) return false;
      } else {
        if (first != '"' && scalar_end(text + start) == nullptr) return false;
        // A scalar is not the last place, and ends where white space before the next place starts.
        end = *++at;
        while (is_blank(text[end - 1])) end--;
      }
      if (slot != unknown_key) {
        slots_[slot] = origin_ + static_cast<int32_t>(start);
        slots_[slot + 1] = origin_ + static_cast<int32_t>(end);
      }
      const uint8_t byte = text[*at++];
      if (byte == '}') break;
      if (byte != ',') return false;
    }
    at_ = at;
    return true;
  }

  void repeated(Level level, int32_t slot) {
    flags_ |= duplicate_flag(level);
    clear_level(level_of(slot), slots_);
  }

  /// The key that starts at text_[start] and has a colon at text_[colon].
  int32_t find(Level level, uint32_t start, uint32_t colon) const {
    const uint8_t* const text = text_ + start + 1;
    uint32_t end = colon - 1;
    while (is_blank(text_[end])) end--;
    const size_t size = end - start - 1;
    if (has_escapes_ && std::memchr(text, '\\', size) != nullptr) {
      uint8_t plain[limits::json_known_key_bytes_max];
      const int length = unescape(text, size, plain);
      return length < 0 ? unknown_key : find_key(level, plain, static_cast<size_t>(length));
    }
    return find_key(level, text, size);
  }

  bool has(int32_t slot) const { return slots_[slot] >= 0; }
  const uint8_t* start_of(int32_t slot) const { return text_ + (slots_[slot] - origin_); }
  size_t size_of(int32_t slot) const { return static_cast<size_t>(slots_[slot + 1] - slots_[slot]); }

  /// Kind and flags of a message that is an object.
  void judge() {
    const bool has_method = has(envelope::method);
    const bool has_result = has(envelope::result);
    const bool has_error = has(envelope::error);
    kind_ = has_method   ? (has(envelope::id) ? kind::request : kind::notification)
            : has_error  ? kind::error
            : has_result ? kind::result
                         : kind::none;
    if (has_method + has_result + has_error > 1) flags_ |= flag::mixed;
    if (!is_version2()) flags_ |= flag::not_version2;
    if (has(envelope::id) && !is_id()) flags_ |= flag::bad_id;
    if (has_method && *start_of(envelope::method) != '"') flags_ |= flag::bad_method;
    if (has(envelope::params) && *start_of(envelope::params) != '{' && *start_of(envelope::params) != '[') {
      flags_ |= flag::bad_params;
    }
    if (has(envelope::meta) && *start_of(envelope::meta) != '{') flags_ |= flag::bad_meta;
  }

  bool is_version2() const {
    if (!has(envelope::jsonrpc)) return false;
    const uint8_t* const text = start_of(envelope::jsonrpc);
    const size_t size = size_of(envelope::jsonrpc);
    if (size == 5) return std::memcmp(text, "\"2.0\"", 5) == 0;
    if (size < 5 || *text != '"') return false;
    uint8_t plain[limits::json_known_key_bytes_max];
    return unescape(text + 1, size - 2, plain) == 3 && std::memcmp(plain, "2.0", 3) == 0;
  }

  bool is_id() const {
    const uint8_t* const text = start_of(envelope::id);
    if (*text == '"') return true;
    for (size_t at = 0; at < size_of(envelope::id); at++) {
      if (text[at] != '-' && !is_digit(text[at])) return false;
    }
    return true;
  }

  const uint8_t* const text_;
  const size_t size_;
  const int32_t origin_;
  const uint32_t* at_;
  const uint32_t* const last_;
  int32_t* const slots_;
  const bool has_escapes_;
  size_t deepest_ = 0;
  int32_t kind_ = kind::none;
  int32_t flags_ = 0;
  int32_t batch_count_ = 0;
};

}  // namespace

bool walk(const Bytes& text, const Index& index, int32_t* envelope) { return Walker(text, index, envelope).run(); }

}  // namespace sluice::scan
