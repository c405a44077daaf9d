// What goes where in the array of a reply head: HEAD and MEDIA of src/scan/contract.ts in C++ names.
// Used by head.cc and addon.cc. Promises: a test (test/native/mirror) keeps it equal to the contract.
#pragma once

#include <cstdint>

namespace sluice::head {
constexpr int32_t body_start = 0;
constexpr int32_t status = 1;
constexpr int32_t minor = 2;
constexpr int32_t content_length = 3;
constexpr int32_t chunked = 4;
constexpr int32_t keep_alive = 5;
constexpr int32_t media = 6;
constexpr int32_t header_count = 7;
constexpr int32_t session_id = 8;
constexpr int32_t content_type = 10;
constexpr int32_t headers = 12;
}  // namespace sluice::head

namespace sluice::media {
constexpr int32_t absent = 0;
constexpr int32_t json = 1;
constexpr int32_t event_stream = 2;
constexpr int32_t other = 3;
}  // namespace sluice::media
