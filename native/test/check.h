// The smallest test harness that serves: named cases that register themselves, and checks that say where they failed.
// Used by native/test/*_test.cc; main() is in check.cc. Promises: a failed check fails the program, later checks still run.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "../core/span.h"

namespace sluice::test {

/// Registers a case under its name.
struct Case {
  Case(const char* name, void (*run)());
};

/// Notes a check; prints place and text when it does not hold.
void check(bool holds, const char* file, int line, const std::string& text);

/// A text in memory of exactly its size, so that a sanitizer sees every byte read beyond it. `offset` bytes of other memory
/// come before it: texts lie at any address.
class Exact {
 public:
  explicit Exact(std::string_view text, size_t offset = 0) : size_(text.size()), offset_(offset), memory_(new uint8_t[offset + text.size()]) {
    std::memset(memory_.get(), 0xff, offset);
    if (!text.empty()) std::memcpy(memory_.get() + offset, text.data(), text.size());
  }

  Bytes bytes(int32_t origin = 0) const { return {memory_.get() + offset_, size_, origin}; }

 private:
  size_t size_;
  size_t offset_;
  std::unique_ptr<uint8_t[]> memory_;
};

}  // namespace sluice::test

#define SLUICE_JOIN_(a, b) a##b
#define SLUICE_JOIN(a, b) SLUICE_JOIN_(a, b)
#define TEST(name) SLUICE_TEST(name, SLUICE_JOIN(test_case_, __LINE__), SLUICE_JOIN(test_entry_, __LINE__))
#define SLUICE_TEST(name, run, entry)           \
  static void run();                            \
  static const sluice::test::Case entry(name, run); \
  static void run()
#define CHECK(claim) sluice::test::check((claim), __FILE__, __LINE__, #claim)
#define CHECK_FOR(text, claim) sluice::test::check((claim), __FILE__, __LINE__, std::string(#claim " for ") + std::string(text))
