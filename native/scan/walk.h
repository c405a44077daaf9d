// Walks the structural characters of a text once: checks the grammar of RFC 8259 and notes the spans of the envelope.
// Called by scanner.cc. Promises: no tape, no copy, no allocation; reads only text[0…size) as long as the bytes do not
// change under it.
#pragma once

#include "../core/span.h"
#include "kernel.h"

namespace sluice::scan {

/// Fills an envelope whose spans are all -1, but for the flag `newline`. False when the text breaks the grammar or the depth
/// limit; strict.h tells which. The index must be of this text; strings are taken as sound, escapes are not looked at but in
/// keys. (References and a plain bool: small structs by value would be put together in memory, and read back at once.)
bool walk(const Bytes& text, const Index& index, int32_t* envelope);

}  // namespace sluice::scan
