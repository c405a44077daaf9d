// Ties a table to a function, and its end to the function's end.
// Called by addon.cc. Promises: see router.h.
#include "router.h"

#include <memory>
#include <new>

namespace sluice::bind {
namespace {

void free_router(napi_env env, void* data, void*) {
  const std::unique_ptr<Router> router(static_cast<Router*>(data));
  napi_delete_reference(env, router->array);
}

}  // namespace

napi_value make_router(napi_env env, State* state, napi_value array, napi_callback callback) {
  napi_typedarray_type type;
  size_t count = 0;
  void* words = nullptr;
  const napi_status status = napi_get_typedarray_info(env, array, &type, &count, &words, nullptr, nullptr);
  if (status != napi_ok || type != napi_int32_array) return nullptr;
  std::unique_ptr<Router> router(new (std::nothrow) Router{state, {}, nullptr});
  if (router == nullptr || !router->table.open(static_cast<const int32_t*>(words), count)) return nullptr;
  napi_value function = nullptr;
  if (napi_create_function(env, "router", NAPI_AUTO_LENGTH, callback, router.get(), &function) != napi_ok) return nullptr;
  // Without the reference the memory could be freed under the table: nothing of JavaScript's points to it from here.
  if (napi_create_reference(env, array, 1, &router->array) != napi_ok) return nullptr;
  if (napi_add_finalizer(env, function, router.get(), free_router, nullptr, nullptr) != napi_ok) {
    napi_delete_reference(env, router->array);
    return nullptr;
  }
  router.release();
  return function;
}

}  // namespace sluice::bind
