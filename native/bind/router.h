// A function for JavaScript that is tied to one route table: its look-ups need no handle that could be wrong.
// Used by addon.cc. Promises: the table's array is kept alive for as long as the function is, and let go of with it.
#pragma once

#include <node_api.h>

#include "../route/table.h"
#include "state.h"

namespace sluice::bind {

/// What such a function has at hand: the state of its environment, and the table.
struct Router {
  State* state;
  route::Table table;
  napi_ref array;
};

/// Makes a function that runs `callback` over the route table in an Int32Array. nullptr when the array holds none.
napi_value make_router(napi_env env, State* state, napi_value array, napi_callback callback);

}  // namespace sluice::bind
