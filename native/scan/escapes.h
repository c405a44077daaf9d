// One look over the whole text for what the index of structural characters does not tell: escapes and raw newlines.
// Called by scanner.cc. Promises: reads only text[0…size); costs a compare and a branch per 64 bytes where there is neither.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::scan {

/// What the look found.
struct Escapes {
  bool sound;    ///< every backslash starts an escape of RFC 8259 §7
  bool any;      ///< there is a backslash
  bool newline;  ///< some byte is LF or CR
};

/// Judges every backslash of a text in which each one lies in a string. Lone surrogates are sound, as for JSON.parse.
Escapes look_for_escapes(const uint8_t* text, size_t size);

/// Bytes of the escape at text[0…size), which starts with a backslash; 0 when it is none.
size_t escape_length(const uint8_t* text, size_t size);

/// Value of a hexadecimal digit, or 16.
inline unsigned hex_value(uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - unsigned{'0'};
  const unsigned letter = (byte | 0x20u) - unsigned{'a'};
  return letter < 6 ? letter + 10 : 16;
}

}  // namespace sluice::scan
