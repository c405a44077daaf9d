// Result codes: the same names and numbers as SCAN and HEAD_RESULT of src/scan/contract.ts.
// Used by every file of native/. Promises: a test (test/native/mirror) walks both lists, so they cannot part.
#pragma once

#include <cstdint>

namespace sluice {

/// SCAN of the contract.
enum class Scan : int32_t {
  ok = 0,
  empty = 1,
  syntax = 2,
  utf8 = 3,
  depth = 4,
};

/// HEAD_RESULT of the contract.
enum class HeadResult : int32_t {
  ok = 0,
  more = 1,
  bad = 2,
  ambiguous = 3,
  large = 4,
};

}  // namespace sluice
