// The table of known keys as a switch over lengths, so that each comparison has a length the compiler knows.
// Called by walk.cc. Promises: see keys.h.
#include "keys.h"

#include <cstring>

namespace sluice::scan {
namespace {

template <typename Unit>
bool same(const uint8_t* text, const char* word) {
  Unit a;
  Unit b;
  std::memcpy(&a, text, sizeof(Unit));
  std::memcpy(&b, word, sizeof(Unit));
  return a == b;
}

/// Whether the text, known to be as long as the word, is the word: a few whole-register compares, as compilers call memcmp
/// for lengths like these.
template <size_t N>
bool is(const uint8_t* text, const char (&word)[N]) {
  constexpr size_t size = N - 1;
  if constexpr (size >= 16) {
    return std::memcmp(text, word, size) == 0;
  } else if constexpr (size >= 8) {
    return same<uint64_t>(text, word) && same<uint64_t>(text + size - 8, word + size - 8);
  } else if constexpr (size >= 4) {
    return same<uint32_t>(text, word) && same<uint32_t>(text + size - 4, word + size - 4);
  } else {
    return same<uint16_t>(text, word) && text[size - 1] == static_cast<uint8_t>(word[size - 1]);
  }
}

int32_t find_top(const uint8_t* text, size_t size) {
  switch (size) {
    case 2:
      return is(text, "id") ? envelope::id : unknown_key;
    case 5:
      return is(text, "error") ? envelope::error : unknown_key;
    case 6:
      if (is(text, "method")) return envelope::method;
      if (is(text, "params")) return envelope::params;
      if (is(text, "result")) return envelope::result;
      return unknown_key;
    case 7:
      return is(text, "jsonrpc") ? envelope::jsonrpc : unknown_key;
    default:
      return unknown_key;
  }
}

int32_t find_params(const uint8_t* text, size_t size) {
  switch (size) {
    case 3:
      if (is(text, "uri")) return envelope::uri;
      if (is(text, "ref")) return envelope::ref;
      return unknown_key;
    case 4:
      return is(text, "name") ? envelope::name : unknown_key;
    case 5:
      return is(text, "_meta") ? envelope::meta : unknown_key;
    case 6:
      if (is(text, "cursor")) return envelope::cursor;
      if (is(text, "taskId")) return envelope::task_id;
      return unknown_key;
    case 9:
      if (is(text, "arguments")) return envelope::arguments;
      if (is(text, "requestId")) return envelope::request_id;
      return unknown_key;
    case 12:
      if (is(text, "capabilities")) return envelope::capabilities;
      if (is(text, "requestState")) return envelope::request_state;
      return unknown_key;
    case 13:
      if (is(text, "progressToken")) return envelope::progress_token;
      if (is(text, "notifications")) return envelope::notifications;
      return unknown_key;
    case 14:
      return is(text, "inputResponses") ? envelope::input_responses : unknown_key;
    case 15:
      return is(text, "protocolVersion") ? envelope::protocol_version : unknown_key;
    default:
      return unknown_key;
  }
}

int32_t find_meta(const uint8_t* text, size_t size) {
  if (size == 13) return is(text, "progressToken") ? envelope::meta_progress_token : unknown_key;
  constexpr char prefix[] = "io.modelcontextprotocol/";
  constexpr size_t prefix_size = sizeof(prefix) - 1;
  if (size < prefix_size || !is(text, prefix)) return unknown_key;
  const uint8_t* name = text + prefix_size;
  switch (size - prefix_size) {
    case 8:
      return is(name, "logLevel") ? envelope::meta_log_level : unknown_key;
    case 10:
      return is(name, "clientInfo") ? envelope::meta_client_info : unknown_key;
    case 14:
      return is(name, "subscriptionId") ? envelope::meta_subscription_id : unknown_key;
    case 15:
      return is(name, "protocolVersion") ? envelope::meta_protocol_version : unknown_key;
    case 18:
      return is(name, "clientCapabilities") ? envelope::meta_client_capabilities : unknown_key;
    default:
      return unknown_key;
  }
}

int32_t find_ref(const uint8_t* text, size_t size) {
  if (size == 3) return is(text, "uri") ? envelope::ref_uri : unknown_key;
  if (size != 4) return unknown_key;
  if (is(text, "name")) return envelope::ref_name;
  return is(text, "type") ? envelope::ref_type : unknown_key;
}

int32_t find_result(const uint8_t* text, size_t size) {
  if (size == 5) return is(text, "_meta") ? envelope::result_meta : unknown_key;
  if (size != 10) return unknown_key;
  if (is(text, "resultType")) return envelope::result_type;
  return is(text, "nextCursor") ? envelope::next_cursor : unknown_key;
}

void clear(int32_t* slots, int32_t from, int32_t to) {
  for (int32_t slot = from; slot < to; slot++) slots[slot] = -1;
}

}  // namespace

int32_t find_key(Level level, const uint8_t* text, size_t size) {
  switch (level) {
    case Level::top:
      return find_top(text, size);
    case Level::params:
      return find_params(text, size);
    case Level::meta:
      return find_meta(text, size);
    case Level::ref:
      return find_ref(text, size);
    case Level::result:
      return find_result(text, size);
    case Level::error:
      return size == 4 && is(text, "code") ? envelope::error_code : unknown_key;
    case Level::none:
      break;
  }
  return unknown_key;
}

int32_t duplicate_flag(Level level) {
  switch (level) {
    case Level::top:
      return flag::duplicate_top;
    case Level::params:
      return flag::duplicate_params;
    case Level::meta:
      return flag::duplicate_meta;
    case Level::ref:
      return flag::duplicate_ref;
    default:
      return 0;
  }
}

void clear_level(Level level, int32_t* slots) {
  switch (level) {
    case Level::params:
      clear(slots, envelope::name, envelope::result_type);
      clear(slots, envelope::input_responses, envelope::route);
      break;
    case Level::meta:
      clear(slots, envelope::meta_progress_token, envelope::result_type);
      break;
    case Level::ref:
      clear(slots, envelope::ref_name, envelope::meta);
      break;
    case Level::result:
      clear(slots, envelope::result_type, envelope::error_code);
      break;
    case Level::error:
      clear(slots, envelope::error_code, envelope::input_responses);
      break;
    default:
      break;
  }
}

}  // namespace sluice::scan
