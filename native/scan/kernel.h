// The first stage behind a narrow door: where the structural characters are, and whether strings and UTF-8 are sound. The
// kernels are simdjson's, and one of our own for AVX2 (avx2.h).
// Called by scanner.cc and the tests. Promises: reads only text[0…size), owns its index buffer and bounds it, never throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace simdjson {
class implementation;
namespace internal {
class dom_parser_implementation;
}
}  // namespace simdjson

namespace sluice::scan {

/// What the first stage found.
struct Index {
  const uint32_t* places;  ///< structural characters and starts of scalars, in order
  size_t count;
  bool has_escapes;  ///< there is a backslash
  bool has_newline;  ///< there is a raw LF or CR
};

/// One kernel with the buffer it writes to. Belongs to one thread.
class Kernel {
 public:
  Kernel();
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  /// Kernels that this processor can run, the best one first.
  static std::vector<std::string> names();

  /// Name and version of the library that the kernels come from.
  static std::string library();

  /// Changes to the named kernel; false when it is not one of names().
  bool choose(std::string_view name);

  /// The kernel in use.
  std::string name() const;

  /// Makes room for a text; false when there is no memory for it.
  bool reserve(size_t size);

  /// Finds the places of a text that room was made for and that is not empty; they are valid until release() or the next call.
  /// False when the text is faulty; strict.h tells how.
  bool index(const uint8_t* text, size_t size, Index& found);

  /// Lets go of room that is not worth keeping. To be called after each text.
  void release(size_t size);

  /// True when the text is UTF-8 throughout.
  bool is_utf8(const uint8_t* text, size_t size) const;

 private:
  enum class Kind : uint8_t { own, fallback, other };

  bool index_own(const uint8_t* text, size_t size, Index& found);
  void drop();

  const simdjson::implementation* implementation_;
  Kind kind_;
  std::unique_ptr<simdjson::internal::dom_parser_implementation> parser_;  ///< none when the kernel is our own
  std::unique_ptr<uint32_t[]> places_;                                     ///< when the kernel is our own
  size_t capacity_ = 0;
  size_t small_texts_ = 0;
};

}  // namespace sluice::scan
