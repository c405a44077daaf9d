// simdjson, all its kernels in one piece, from the npm package @nozbe/simdjson (Apache-2.0). Included rather than listed as a
// source because gyp cannot compile files outside of the project, which is where a hoisted package lies.
// Built once, as a library for the addon and the tests. Promises: nothing of its own.
#include <simdjson.cpp>
