// The plain way to read a JSON text: byte by byte, nothing but the grammar. It names the fault of a text that the fast way
// refused, and is the fuzzer's second opinion on the fast way.
// Called by scanner.cc for faulty texts, by walk.cc for texts that are one scalar. Promises: reads only text[0…size), no allocation, depth costs no stack.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../core/result.h"

namespace sluice::scan {

/// The first fault of a text that is UTF-8 throughout, in reading order: ok, empty, syntax or depth.
Scan strict_verdict(const uint8_t* text, size_t size);

}  // namespace sluice::scan
