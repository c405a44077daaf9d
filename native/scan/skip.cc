// One state for each place where a value can stand, so that each branch has its own history in the processor.
// Called by walk.cc. Promises: see skip.h.
#include "skip.h"

#include "../core/limits.h"
#include "scalar.h"

namespace sluice::scan {

const uint32_t* skip_value(Ground ground, const uint32_t* at, size_t level, size_t& deepest) {
  const uint8_t* const text = ground.text;
  const uint32_t* const last = ground.last;
  size_t depth = level;
  size_t most = deepest;
  bool is_object[limits::json_depth_max + 1];
  bool in_object = false;

  // The value itself: containers are entered, anything else is passed and that is all.
  switch (text[*at]) {
    case '{':
      goto open_object;
    case '[':
      goto open_array;
    case '"':
      return at + 1;
    default:
      return scalar_end(text + *at) != nullptr ? at + 1 : nullptr;
  }

open_object:
  if (depth == limits::json_depth_max) return nullptr;
  is_object[++depth] = true;
  if (depth > most) most = depth;
  at++;
  if (text[*at] == '}') goto close;

key:
  if (text[*at] != '"' || text[at[1]] != ':') return nullptr;
  at += 2;
  switch (text[*at]) {
    case '"':
      at++;
      break;
    case '{':
      goto open_object;
    case '[':
      goto open_array;
    default:
      if (scalar_end(text + *at) == nullptr) return nullptr;
      at++;
  }

after_member:
  switch (text[*at]) {
    case ',':
      at++;
      goto key;
    case '}':
      goto close;
    default:
      return nullptr;
  }

open_array:
  if (depth == limits::json_depth_max) return nullptr;
  is_object[++depth] = false;
  if (depth > most) most = depth;
  at++;
  if (text[*at] == ']') goto close;

element:
  switch (text[*at]) {
    case '"':
      at++;
      break;
    case '{':
      goto open_object;
    case '[':
      goto open_array;
    default:
      if (scalar_end(text + *at) == nullptr) return nullptr;
      at++;
  }

after_element:
  switch (text[*at]) {
    case ',':
      at++;
      goto element;
    case ']':
      goto close;
    default:
      return nullptr;
  }

close:
  at++;
  depth--;
  if (depth == level) {
    deepest = most;
    return at;
  }
  if (at == last) return nullptr;
  in_object = is_object[depth];
  if (in_object) goto after_member;
  goto after_element;
}

}  // namespace sluice::scan
