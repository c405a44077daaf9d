// Plain views of memory that somebody else owns: bytes to read, numbers to write.
// Used by every file of native/. Promises: no allocation, no ownership, nothing of Node-API.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice {

/// Bytes of one message, with the place of the first one in the array that JavaScript handed in: offsets that go out
/// are `origin` + index.
struct Bytes {
  const uint8_t* data;
  size_t size;
  int32_t origin;
};

/// Numbers that the caller gets back.
struct Numbers {
  int32_t* data;
  size_t size;
};

}  // namespace sluice
