// Index, then walk; a text that fails any of them is read again the plain way for its verdict.
// Called by bind/. Promises: see scanner.h.
#include "scanner.h"

#include <algorithm>

#include "../core/block.h"
#include "envelope.h"
#include "strict.h"
#include "walk.h"

namespace sluice::scan {

bool Scanner::scan(const Bytes& text, int32_t* envelope, Scan& verdict) {
  if (!kernel_.reserve(text.size)) return false;
  verdict = fill(text, envelope);
  if (verdict != Scan::ok) {
    std::fill(envelope, envelope + envelope::jsonrpc, 0);
    store_all_ones(envelope + envelope::jsonrpc, envelope::length - envelope::jsonrpc);
  }
  kernel_.release(text.size);
  return true;
}

Scan Scanner::fill(const Bytes& text, int32_t* envelope) {
  if (text.size == 0) return Scan::empty;
  store_all_ones(envelope + envelope::jsonrpc, envelope::length - envelope::jsonrpc);
  Index index;
  if (kernel_.index(text.data, text.size, index) && walk(text, index, envelope)) {
    if (index.has_newline) envelope[envelope::flags] |= flag::newline;
    return Scan::ok;
  }
  if (!kernel_.is_utf8(text.data, text.size)) return Scan::utf8;
  const Scan verdict = strict_verdict(text.data, text.size);
  // The fast way refuses nothing that the plain way accepts; should they ever differ, refusing is the safe answer.
  return verdict == Scan::ok ? Scan::syntax : verdict;
}

}  // namespace sluice::scan
