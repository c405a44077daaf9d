// Splits an event stream (WHATWG HTML §9.2) at its blank lines; the twin of src/scan/sse.ts.
// Called by bind/. Promises: only whole events are reported; the same bytes cut elsewhere give the same events; no allocation.
#pragma once

#include "../core/span.h"

namespace sluice::sse {

/// Places of one event: EVENT of src/scan/contract.ts in C++ names (test/native/mirror keeps them equal).
namespace event {
constexpr int32_t start = 0;
constexpr int32_t end = 1;
constexpr int32_t data_start = 2;
constexpr int32_t data_end = 3;
constexpr int32_t data_lines = 4;
constexpr int32_t type_start = 5;
constexpr int32_t type_end = 6;
constexpr int32_t id_start = 7;
constexpr int32_t id_end = 8;
constexpr int32_t retry_start = 9;
constexpr int32_t retry_end = 10;
constexpr int32_t length = 12;
}  // namespace event

/// Writes as many whole events as there are and as `out` has room for; returns their number.
/// `last`: nothing follows these bytes, so a CR at their end is a line end of its own.
int32_t split_events(Bytes bytes, bool last, Numbers out);

}  // namespace sluice::sse
