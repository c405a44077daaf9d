// Runs every registered case. Built into sluice_tests by `bun scripts/native-test.ts`.
// Promises: exit code 0 only when all checks of all cases hold; prints one line per failed check, and a total.
#include "check.h"

#include <cstdio>
#include <vector>

namespace sluice::test {
namespace {

struct Entry {
  const char* name;
  void (*run)();
};

std::vector<Entry>& cases() {
  static std::vector<Entry> entries;
  return entries;
}

const char* current = "";
int checks = 0;
int failures = 0;

}  // namespace

Case::Case(const char* name, void (*run)()) { cases().push_back({name, run}); }

void check(bool holds, const char* file, int line, const std::string& text) {
  checks++;
  if (holds) return;
  failures++;
  if (failures <= 50) std::fprintf(stderr, "%s:%d: in \"%s\": %s\n", file, line, current, text.c_str());
}

}  // namespace sluice::test

int main() {
  using namespace sluice::test;
  for (const auto& entry : cases()) {
    current = entry.name;
    entry.run();
  }
  std::printf("%zu cases, %d checks, %d failed\n", cases().size(), checks, failures);
  return failures == 0 && checks > 0 ? 0 : 1;
}
