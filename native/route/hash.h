// The hash of a route table's keys, and four bytes as one word: the same sums as in src/scan/lookup.ts.
// Used by table.cc and the tests. Promises: reads only text[0…size); the same number on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::route {

/// Four bytes as one word, the first one lowest. Compilers make one load of it where that is the machine's own order.
inline uint32_t packed_word(const uint8_t* text) {
  return uint32_t{text[0]} | uint32_t{text[1]} << 8 | uint32_t{text[2]} << 16 | uint32_t{text[3]} << 24;
}

/// The last 1 to 3 bytes of a text; those that are missing count as zeros.
inline uint32_t packed_rest(const uint8_t* text, size_t size) {
  uint32_t word = text[0];
  if (size > 1) word |= uint32_t{text[1]} << 8;
  if (size > 2) word |= uint32_t{text[2]} << 16;
  return word;
}

/// Hash of a text for an owner (endpoint × 2 + kind), never 0.
inline uint32_t hash_text(uint32_t owner, const uint8_t* text, size_t size) {
  constexpr uint32_t spread = 0x9e3779b1;
  uint32_t hash = (owner + 1) * spread ^ static_cast<uint32_t>(size);
  const auto add = [&hash](uint32_t word) { hash = ((hash << 5 | hash >> 27) ^ word) * spread; };
  size_t at = 0;
  for (; at + 4 <= size; at += 4) add(packed_word(text + at));
  if (at < size) add(packed_rest(text + at, size - at));
  hash = (hash ^ hash >> 16) * 0x85ebca6b;
  hash = (hash ^ hash >> 13) * 0xc2b2ae35;
  hash ^= hash >> 16;
  return hash == 0 ? 1 : hash;
}

}  // namespace sluice::route
