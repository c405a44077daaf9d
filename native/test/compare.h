// One text through every kernel: all must say the same, and what they say must fit the text.
// Used by scan_test.cc and fuzz.cc. Promises: finds any kernel that differs, any span outside of the text, and any
// difference between the fast and the plain way of reading.
#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "../scan/envelope.h"
#include "../scan/scanner.h"
#include "../scan/strict.h"

namespace sluice::test {

/// One scanner for each kernel of this machine.
class Kernels {
 public:
  Kernels() {
    for (const std::string& name : scan::Kernel::names()) {
      scanners_.push_back(std::make_unique<scan::Scanner>());
      scanners_.back()->kernel().choose(name);
    }
  }

  size_t count() const { return scanners_.size(); }

  /// The verdict that all agree on, with the envelope of the first. An empty `dispute` when all is well.
  Scan scan(const Bytes& text, int32_t* envelope, std::string& dispute) {
    Scan verdict = Scan::ok;
    for (size_t i = 0; i < scanners_.size(); i++) {
      int32_t other[envelope::length];
      int32_t* const out = i == 0 ? envelope : other;
      Scan mine;
      if (!scanners_[i]->scan(text, out, mine)) dispute = "no memory";
      if (i == 0) {
        verdict = mine;
      } else if (mine != verdict || std::memcmp(envelope, other, sizeof(other)) != 0) {
        dispute = scanners_[i]->kernel().name() + " differs from " + scanners_[0]->kernel().name();
      }
    }
    if (dispute.empty()) dispute = judge(text, envelope, verdict);
    return verdict;
  }

 private:
  std::string judge(const Bytes& text, const int32_t* envelope, Scan verdict) {
    const bool is_utf8 = scanners_[0]->kernel().is_utf8(text.data, text.size);
    if (is_utf8 != (verdict != Scan::utf8)) return "utf8 is misjudged";
    if (is_utf8 && scan::strict_verdict(text.data, text.size) != verdict) return "the fast and the plain way differ";
    const auto end = text.origin + static_cast<int32_t>(text.size);
    for (int32_t slot = envelope::jsonrpc; slot < envelope::length; slot += 2) {
      const int32_t from = envelope[slot];
      const int32_t to = envelope[slot + 1];
      if (from == -1 && to == -1) continue;
      if (verdict != Scan::ok) return "a faulty text has a span";
      if (from < text.origin || from >= to || to > end) return "a span is outside of the text";
      // A span is a value by itself.
      if (scan::strict_verdict(text.data + (from - text.origin), static_cast<size_t>(to - from)) != Scan::ok) {
        return "a span is no value";
      }
    }
    return "";
  }

  std::vector<std::unique_ptr<scan::Scanner>> scanners_;
};

}  // namespace sluice::test
