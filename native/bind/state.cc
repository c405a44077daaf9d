// Ties the state to its environment.
// Called by addon.cc. Promises: see state.h.
#include "state.h"

#include <new>

namespace sluice::bind {

State* make_state(napi_env env) {
  auto* const state = new (std::nothrow) State;
  if (state == nullptr) return nullptr;
  const auto free_state = [](napi_env, void* data, void*) { delete static_cast<State*>(data); };
  if (napi_set_instance_data(env, state, free_state, nullptr) != napi_ok) {
    delete state;
    return nullptr;
  }
  return state;
}

}  // namespace sluice::bind
