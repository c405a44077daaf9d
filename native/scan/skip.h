// Passes over a value that holds nothing of interest: the inner loop of the scan.
// Called by walk.cc. Promises: iterative, no allocation; its cost is a few steps per structural character.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::scan {

/// A text and the end of its places. The last place is a closing bracket: so only after a closing bracket can the places run
/// out, and nothing else needs to ask.
struct Ground {
  const uint8_t* text;
  const uint32_t* last;  ///< the place after the last one
};

/// Moves over the value at `at`, which lies in the `level`-th container from outside (at least the first), and raises
/// `deepest` to the nesting it finds. The place after the value, or nullptr when it is no value or nests too deep.
const uint32_t* skip_value(Ground ground, const uint32_t* at, size_t level, size_t& deepest);

}  // namespace sluice::scan
