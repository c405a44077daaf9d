// Numbers and literals, checked byte by byte with what ends them.
// Used by walk.cc and skip.cc. Promises: inline; reads no further than the first byte that cannot belong to the scalar,
// which exists because a closing bracket follows every scalar these are called for.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace sluice::scan {

inline bool is_blank(uint8_t byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

inline bool is_digit(uint8_t byte) { return static_cast<uint8_t>(byte - '0') < 10; }

/// True for the bytes that may come right after a number or literal: white space and the structural characters.
inline bool ends_scalar(uint8_t byte) {
  static constexpr auto table = [] {
    std::array<bool, 256> ends{};
    for (const char each : {' ', '\t', '\n', '\r', ',', ':', '[', ']', '{', '}'}) ends[static_cast<uint8_t>(each)] = true;
    return ends;
  }();
  return table[byte];
}

/// End of the number at `at`, or nullptr when it is none.
inline const uint8_t* number_end(const uint8_t* at) {
  if (*at == '-') at++;
  if (*at == '0') {
    at++;
  } else {
    if (!is_digit(*at)) return nullptr;
    while (is_digit(*at)) at++;
  }
  if (*at == '.') {
    at++;
    if (!is_digit(*at)) return nullptr;
    while (is_digit(*at)) at++;
  }
  if ((*at | 0x20) == 'e') {
    at++;
    if (*at == '-' || *at == '+') at++;
    if (!is_digit(*at)) return nullptr;
    while (is_digit(*at)) at++;
  }
  return ends_scalar(*at) ? at : nullptr;
}

/// End of the literal at `at`, or nullptr when it is none.
inline const uint8_t* literal_end(const uint8_t* at) {
  // Compared from left to right: a text that ends early differs before its end.
  const uint8_t* end = nullptr;
  if (*at == 't' && at[1] == 'r' && at[2] == 'u' && at[3] == 'e') end = at + 4;
  if (*at == 'n' && at[1] == 'u' && at[2] == 'l' && at[3] == 'l') end = at + 4;
  if (*at == 'f' && at[1] == 'a' && at[2] == 'l' && at[3] == 's' && at[4] == 'e') end = at + 5;
  return end != nullptr && ends_scalar(*end) ? end : nullptr;
}

/// End of the number or literal at `at`, or nullptr when it is neither.
inline const uint8_t* scalar_end(const uint8_t* at) {
  return *at == '-' || is_digit(*at) ? number_end(at) : literal_end(at);
}

}  // namespace sluice::scan
