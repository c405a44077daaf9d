// What goes where in the envelope array: KIND, FLAG, ENVELOPE and ROUTE of src/scan/contract.ts in C++ names.
// Used by the files of scan/. Promises: a test (test/native/mirror) keeps it equal to the contract.
#pragma once

#include <cstdint>

namespace sluice::kind {
constexpr int32_t none = 0;
constexpr int32_t request = 1;
constexpr int32_t notification = 2;
constexpr int32_t result = 3;
constexpr int32_t error = 4;
constexpr int32_t batch = 5;
}  // namespace sluice::kind

namespace sluice::flag {
constexpr int32_t duplicate_top = 1;
constexpr int32_t duplicate_params = 2;
constexpr int32_t duplicate_meta = 4;
constexpr int32_t duplicate_ref = 8;
constexpr int32_t not_version2 = 16;
constexpr int32_t bad_id = 32;
constexpr int32_t bad_method = 64;
constexpr int32_t bad_params = 128;
constexpr int32_t bad_meta = 256;
constexpr int32_t empty_batch = 512;
constexpr int32_t mixed = 1024;
constexpr int32_t newline = 2048;
}  // namespace sluice::flag

namespace sluice::envelope {
constexpr int32_t kind = 0;
constexpr int32_t flags = 1;
constexpr int32_t depth = 2;
constexpr int32_t batch_count = 3;
constexpr int32_t jsonrpc = 4;
constexpr int32_t id = 6;
constexpr int32_t method = 8;
constexpr int32_t params = 10;
constexpr int32_t result = 12;
constexpr int32_t error = 14;
constexpr int32_t name = 16;
constexpr int32_t uri = 18;
constexpr int32_t cursor = 20;
constexpr int32_t task_id = 22;
constexpr int32_t request_id = 24;
constexpr int32_t progress_token = 26;
constexpr int32_t request_state = 28;
constexpr int32_t protocol_version = 30;
constexpr int32_t capabilities = 32;
constexpr int32_t ref = 34;
constexpr int32_t ref_name = 36;
constexpr int32_t ref_uri = 38;
constexpr int32_t ref_type = 40;
constexpr int32_t meta = 42;
constexpr int32_t arguments = 44;
constexpr int32_t notifications = 46;
constexpr int32_t meta_progress_token = 48;
constexpr int32_t meta_protocol_version = 50;
constexpr int32_t meta_client_capabilities = 52;
constexpr int32_t meta_client_info = 54;
constexpr int32_t meta_log_level = 56;
constexpr int32_t meta_subscription_id = 58;
constexpr int32_t result_type = 60;
constexpr int32_t next_cursor = 62;
constexpr int32_t result_meta = 64;
constexpr int32_t error_code = 66;
constexpr int32_t input_responses = 68;
constexpr int32_t route = 70;
constexpr int32_t route_strip = 71;
constexpr int32_t route_epoch = 72;
constexpr int32_t route_place = 73;
constexpr int32_t length = 74;
}  // namespace sluice::envelope

namespace sluice::route_answer {
constexpr int32_t none = -1;
constexpr int32_t unknown = -2;
constexpr int32_t escaped = -3;
}  // namespace sluice::route_answer
