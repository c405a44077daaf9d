// The bytes that RFC 9110 allows where, and comparison of header names and values without regard to case.
// Used by head.cc. Promises: inline, tables built by the compiler.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace sluice::http {

/// A stretch of bytes.
struct Word {
  const uint8_t* start;
  const uint8_t* end;
};

/// RFC 9110 §5.6.2.
inline bool is_token(uint8_t byte) {
  static constexpr auto table = [] {
    std::array<bool, 256> token{};
    for (int each = 0x21; each < 0x7f; each++) token[static_cast<size_t>(each)] = true;
    for (const char each : {'"', '(', ')', ',', '/', ':', ';', '<', '=', '>', '?', '@', '[', '\\', ']', '{', '}'}) {
      token[static_cast<uint8_t>(each)] = false;
    }
    return token;
  }();
  return table[byte];
}

/// True for the bytes of a value or reason: tab, blank, visible ASCII, and all beyond ASCII.
inline bool is_text(uint8_t byte) { return byte >= 0x20 ? byte != 0x7f : byte == '\t'; }

/// The word without blanks and tabs around it.
inline Word trim(Word word) {
  while (word.start < word.end && (*word.start == ' ' || *word.start == '\t')) word.start++;
  while (word.end > word.start && (word.end[-1] == ' ' || word.end[-1] == '\t')) word.end--;
  return word;
}

/// True when the word spells `lower`, a text in lower case, in any case of letters.
template <size_t N>
bool spells(Word word, const char (&lower)[N]) {
  if (static_cast<size_t>(word.end - word.start) != N - 1) return false;
  for (size_t i = 0; i < N - 1; i++) {
    const uint8_t byte = word.start[i];
    const uint8_t folded = byte >= 'A' && byte <= 'Z' ? static_cast<uint8_t>(byte | 0x20) : byte;
    if (folded != static_cast<uint8_t>(lower[i])) return false;
  }
  return true;
}

}  // namespace sluice::http
