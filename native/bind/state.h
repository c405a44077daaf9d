// What one JavaScript environment (the main thread, or one worker) owns of this addon.
// Used by addon.cc. Promises: made when the environment loads the addon, freed with it; nothing is shared between environments.
#pragma once

#include <node_api.h>

#include "../scan/scanner.h"

namespace sluice::bind {

/// State of one environment.
struct State {
  scan::Scanner scanner;
};

/// Makes the state and hands it to the environment. nullptr when that fails.
State* make_state(napi_env env);

}  // namespace sluice::bind
