// The keys that the envelope scan knows, level by level: the same table as src/scan/keys.ts.
// Called by walk.cc. Promises: no allocation; a key is found by its length and then its bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "envelope.h"

namespace sluice::scan {

/// The objects that are looked into. `none` is every other object.
enum class Level : uint8_t { none, top, params, meta, ref, result, error };

/// Where the span of the key spelled by text[0…size) goes: a slot of the envelope, or unknown_key. The text is unescaped
/// already, the level not `none`. One plain number: a struct would be put together in memory, and read back at once.
int32_t find_key(Level level, const uint8_t* text, size_t size);

constexpr int32_t unknown_key = -1;

/// The level that the value of a known key is, when it is an object.
inline Level level_of(int32_t slot) {
  switch (slot) {
    case envelope::params:
      return Level::params;
    case envelope::result:
      return Level::result;
    case envelope::error:
      return Level::error;
    case envelope::meta:
      return Level::meta;
    case envelope::ref:
      return Level::ref;
    default:
      return Level::none;
  }
}

/// The FLAG bit for a known key that comes twice at this level; 0 where the contract has none.
int32_t duplicate_flag(Level level);

/// Empties every slot of this level and of those below it.
void clear_level(Level level, int32_t* slots);

}  // namespace sluice::scan
