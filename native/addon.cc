// Registers the functions of the addon and checks their arguments; no algorithm lives here.
// Loaded by src/scan/addon.ts, once for each thread. Promises: state per environment, results as numbers, no exceptions.
//
//   scan(bytes, out)   out[0], out[1]: range. Fills the envelope; when the text is faulty, out[0] is minus a SCAN code.
//   head(bytes, out)   the same; when there is no head, out[0] is minus a HEAD_RESULT code.
//   sse(bytes, out)    out[2]: 1 when nothing follows. Returns the number of events.
//   router(table)      a function (bytes, out) that scans all of the bytes and looks up in that route table (an Int32Array).
//                      out[0]: endpoint. Answers like scan.
//   kernels()          the kernels this processor can run.   kernel()   the one in use.   useKernel(name)   1 when it now is.
//   build              a string: compiler, flags for the processor.
//
// scan and head return undefined, sse a number from 0. Anything else, from -1 down: the arguments are wrong (-1) or there is
// no memory (-2).
#include <node_api.h>

#include <algorithm>

#include "bind/arguments.h"
#include "bind/router.h"
#include "bind/state.h"
#include "core/limits.h"
#include "http/head.h"
#include "http/places.h"
#include "route/message.h"
#include "scan/envelope.h"
#include "sse/split.h"

#ifndef SLUICE_MARCH
#define SLUICE_MARCH "baseline"
#endif

namespace sluice {
namespace {

constexpr int32_t wrong_arguments = -1;
constexpr int32_t no_memory = -2;
/// Offsets go out as 32-bit numbers.
constexpr size_t offset_max = INT32_MAX;
constexpr size_t head_numbers = static_cast<size_t>(head::headers) + 4 * limits::reply_header_count_max;
constexpr size_t sse_numbers = static_cast<size_t>(sse::event::length);

napi_value call_scan(napi_env env, napi_callback_info info) {
  bind::Call call;
  if (!bind::read_call(env, info, envelope::length, call)) return bind::number(env, wrong_arguments);
  Scan verdict;
  if (!call.state->scanner.scan(call.bytes, call.out.data, verdict)) return bind::number(env, no_memory);
  if (verdict != Scan::ok) call.out.data[envelope::kind] = -static_cast<int32_t>(verdict);
  return nullptr;
}

napi_value call_router(napi_env env, napi_callback_info info) {
  bind::Call call;
  void* data = nullptr;
  if (!bind::read_whole(env, info, envelope::length, call, data)) return bind::number(env, wrong_arguments);
  const auto* const router = static_cast<const bind::Router*>(data);
  const int32_t endpoint = call.out.data[0];
  if (endpoint < 0 || call.bytes.size > offset_max) return bind::number(env, wrong_arguments);
  Scan verdict;
  if (!router->state->scanner.scan(call.bytes, call.out.data, verdict)) return bind::number(env, no_memory);
  if (verdict == Scan::ok) {
    route::route_message(router->table, call.bytes, static_cast<uint32_t>(endpoint), call.out.data);
  } else {
    call.out.data[envelope::kind] = -static_cast<int32_t>(verdict);
  }
  return nullptr;
}

napi_value make_router(napi_env env, napi_callback_info info) {
  bind::State* state = nullptr;
  napi_value table = nullptr;
  if (!bind::read_one(env, info, state, table)) return bind::number(env, wrong_arguments);
  const napi_value router = bind::make_router(env, state, table, call_router);
  return router == nullptr ? bind::number(env, wrong_arguments) : router;
}

napi_value call_head(napi_env env, napi_callback_info info) {
  bind::Call call;
  if (!bind::read_call(env, info, head_numbers, call)) return bind::number(env, wrong_arguments);
  const HeadResult result = http::parse_head(call.bytes, call.out.data);
  if (result != HeadResult::ok) call.out.data[head::body_start] = -static_cast<int32_t>(result);
  return nullptr;
}

napi_value call_sse(napi_env env, napi_callback_info info) {
  bind::Call call;
  if (!bind::read_call(env, info, sse_numbers, call)) return bind::number(env, wrong_arguments);
  const bool last = call.out.data[2] == 1;
  return bind::number(env, sse::split_events(call.bytes, last, call.out));
}

napi_value list_kernels(napi_env env, napi_callback_info) {
  return bind::strings(env, scan::Kernel::names());
}

napi_value name_kernel(napi_env env, napi_callback_info info) {
  void* state = nullptr;
  if (napi_get_cb_info(env, info, nullptr, nullptr, nullptr, &state) != napi_ok) return nullptr;
  return bind::string(env, static_cast<bind::State*>(state)->scanner.kernel().name());
}

napi_value use_kernel(napi_env env, napi_callback_info info) {
  bind::State* state = nullptr;
  std::string name;
  if (!bind::read_text(env, info, state, name)) return bind::number(env, wrong_arguments);
  return bind::number(env, state->scanner.kernel().choose(name) ? 1 : 0);
}

bool add(napi_env env, napi_value exports, const char* name, napi_callback callback, bind::State* state) {
  napi_value function = nullptr;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, state, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

}  // namespace
}  // namespace sluice

NAPI_MODULE_INIT() {
  using namespace sluice;
  bind::State* const state = bind::make_state(env);
  if (state == nullptr) return nullptr;
  const bool added = add(env, exports, "scan", call_scan, state) && add(env, exports, "head", call_head, state) &&
                     add(env, exports, "sse", call_sse, state) && add(env, exports, "router", make_router, state) && add(env, exports, "kernels", list_kernels, state) &&
                     add(env, exports, "kernel", name_kernel, state) && add(env, exports, "useKernel", use_kernel, state);
  const napi_value build = bind::string(env, scan::Kernel::library() + ", " __VERSION__ ", " SLUICE_MARCH);
  if (!added || napi_set_named_property(env, exports, "build", build) != napi_ok) return nullptr;
  return exports;
}
