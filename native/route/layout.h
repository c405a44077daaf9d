// Where everything lies in a route table: src/memory/route-layout.ts in C++ names.
// Used by the files of route/ and their tests. Promises: a test (test/native/mirror) keeps both files equal.
#pragma once

#include <cstdint>

namespace sluice::route_head {
constexpr int32_t magic = 0;
constexpr int32_t slots_max = 1;
constexpr int32_t record_words_max = 2;
constexpr int32_t epoch = 16;
constexpr int32_t halves = 32;
constexpr int32_t words = 64;
}  // namespace sluice::route_head

namespace sluice::route_half {
constexpr int32_t slots = 0;
constexpr int32_t exacts = 1;
constexpr int32_t prefixes = 2;
constexpr int32_t record_words = 3;
constexpr int32_t words = 16;
}  // namespace sluice::route_half

namespace sluice::route_slot {
constexpr int32_t hash = 0;
constexpr int32_t record = 1;
constexpr int32_t words = 2;
}  // namespace sluice::route_slot

namespace sluice::route_record {
constexpr int32_t owner = 0;
constexpr int32_t bytes = 1;
constexpr int32_t upstream = 2;
constexpr int32_t strip = 3;
constexpr int32_t words = 4;
}  // namespace sluice::route_record

namespace sluice::route_kind {
constexpr int32_t name = 0;
constexpr int32_t uri = 1;
}  // namespace sluice::route_kind

namespace sluice::route {
constexpr int32_t route_magic = 0x534c5231;
}  // namespace sluice::route
