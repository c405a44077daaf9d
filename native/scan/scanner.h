// Scans one message: JSON, UTF-8, nesting, and the envelope of an MCP message.
// Called by bind/. Promises: what src/scan/contract.ts says of scan(); one object serves one thread.
#pragma once

#include "../core/result.h"
#include "../core/span.h"
#include "kernel.h"

namespace sluice::scan {

/// A kernel with its scratch space.
class Scanner {
 public:
  /// Fills `envelope` (envelope::length numbers). False when there is no memory for the text; then nothing is filled.
  bool scan(const Bytes& text, int32_t* envelope, Scan& verdict);

  /// The kernel, to ask for its name or to choose another one.
  Kernel& kernel() { return kernel_; }

 private:
  Scan fill(const Bytes& text, int32_t* envelope);

  Kernel kernel_;
};

}  // namespace sluice::scan
