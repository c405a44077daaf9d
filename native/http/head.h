// Parses the head of an HTTP/1.1 response (RFC 9112) into offsets, strictly; the twin of src/scan/head.ts.
// Called by bind/. Promises: left to right, the first fault decides; a head that is cut short is `more` or already faulty,
// never ok; no allocation.
#pragma once

#include "../core/result.h"
#include "../core/span.h"

namespace sluice::http {

/// Fills `out`, which has room for head::headers + 4 × limits::reply_header_count_max numbers.
HeadResult parse_head(Bytes bytes, int32_t* out);

}  // namespace sluice::http
