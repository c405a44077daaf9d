// The calls into Node-API.
// Used by addon.cc. Promises: see arguments.h.
#include "arguments.h"

namespace sluice::bind {

bool read_whole(napi_env env, napi_callback_info info, size_t out_min, Call& call, void*& data) {
  size_t count = 2;
  napi_value values[2];
  if (napi_get_cb_info(env, info, &count, values, nullptr, &data) != napi_ok || count < 2) return false;
  napi_typedarray_type type;
  size_t bytes_size = 0;
  void* bytes = nullptr;
  napi_status status = napi_get_typedarray_info(env, values[0], &type, &bytes_size, &bytes, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) return false;
  size_t out_size = 0;
  void* out = nullptr;
  status = napi_get_typedarray_info(env, values[1], &type, &out_size, &out, nullptr, nullptr);
  if (status != napi_ok || type != napi_int32_array || out_size < out_min) return false;
  call.bytes = {static_cast<const uint8_t*>(bytes), bytes_size, 0};
  call.out = {static_cast<int32_t*>(out), out_size};
  return true;
}

bool read_call(napi_env env, napi_callback_info info, size_t out_min, Call& call) {
  void* state = nullptr;
  if (!read_whole(env, info, out_min, call, state)) return false;
  const int32_t start = call.out.data[0];
  const int32_t end = call.out.data[1];
  if (start < 0 || start > end || static_cast<size_t>(end) > call.bytes.size) return false;
  call.state = static_cast<State*>(state);
  call.bytes = {call.bytes.data + start, static_cast<size_t>(end - start), start};
  return true;
}

bool read_one(napi_env env, napi_callback_info info, State*& state, napi_value& value) {
  size_t count = 1;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, &value, nullptr, &data) != napi_ok || count < 1) return false;
  state = static_cast<State*>(data);
  return true;
}

bool read_text(napi_env env, napi_callback_info info, State*& state, std::string& text) {
  napi_value value = nullptr;
  if (!read_one(env, info, state, value)) return false;
  char buffer[64];
  size_t size = 0;
  if (napi_get_value_string_utf8(env, value, buffer, sizeof(buffer), &size) != napi_ok) return false;
  text.assign(buffer, size);
  return true;
}

napi_value number(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}

napi_value string(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value strings(napi_env env, const std::vector<std::string>& values) {
  napi_value result = nullptr;
  napi_create_array_with_length(env, values.size(), &result);
  for (size_t i = 0; i < values.size(); i++) napi_set_element(env, result, static_cast<uint32_t>(i), string(env, values[i]));
  return result;
}

}  // namespace sluice::bind
