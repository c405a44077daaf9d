// From JavaScript values to views of memory, and back. The views are good for the length of one call: no JavaScript runs
// meanwhile, so nothing moves or frees what they point to, and nothing is kept.
// Used by addon.cc. Promises: wrong types and ranges give `false`; nothing is ever thrown into JavaScript.
#pragma once

#include <node_api.h>

#include <string>
#include <vector>

#include "../core/span.h"
#include "state.h"

namespace sluice::bind {

/// The state, bytes and output array of one call.
struct Call {
  State* state;
  Bytes bytes;
  Numbers out;
};

/// Reads (bytes: Uint8Array, out: Int32Array) with at least `out_min` numbers in `out`. The range of bytes is in the first
/// two numbers of `out`, which is cheaper than two more arguments.
bool read_call(napi_env env, napi_callback_info info, size_t out_min, Call& call);

/// Reads (bytes: Uint8Array, out: Int32Array) for all of the bytes. `data` is what the function was made with.
bool read_whole(napi_env env, napi_callback_info info, size_t out_min, Call& call, void*& data);

/// Reads one argument and the state.
bool read_one(napi_env env, napi_callback_info info, State*& state, napi_value& value);

/// Reads one string argument and the state.
bool read_text(napi_env env, napi_callback_info info, State*& state, std::string& text);

/// A number for JavaScript; nullptr (undefined) when the environment is going away.
napi_value number(napi_env env, int32_t value);

/// A string for JavaScript.
napi_value string(napi_env env, const std::string& value);

/// An array of strings for JavaScript.
napi_value strings(napi_env env, const std::vector<std::string>& values);

}  // namespace sluice::bind
