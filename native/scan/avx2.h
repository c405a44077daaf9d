// Our own first stage for processors with AVX2: simdjson's method, but escapes, newlines and places come out of one pass
// over the text, and places are written eight at a time. About twice as fast as simdjson's AVX2 kernel, which stays beside it
// as its twin: the contract suite and the fuzzer demand equal answers from both.
// Called by kernel.cc. Promises: reads only text[0…size); UTF-8 is left to the caller, who is told whether to look.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::scan {

/// What the pass found besides places.
struct Pass {
  size_t count;      ///< places written
  bool sound;        ///< strings are closed, hold no control characters, and every backslash starts an escape
  bool has_escapes;  ///< there is a backslash
  bool has_newline;  ///< there is an LF or CR
  bool is_ascii;     ///< no byte is 0x80 or above
};

/// Numbers that index_avx2() may write beyond one for each byte of text.
constexpr size_t avx2_places_extra = 64;

/// True when the processor can run index_avx2().
bool has_avx2();

/// Writes the places of a text that is not empty.
void index_avx2(const uint8_t* text, size_t size, uint32_t* places, Pass& pass);

}  // namespace sluice::scan
