// The twin of src/scan/routed.ts.
// Called by bind/. Promises: see message.h.
#include "message.h"

#include <cstring>

#include "../scan/envelope.h"
#include "layout.h"

namespace sluice::route {
namespace {

constexpr int32_t no_place = -1;

/// A raw JSON value.
struct Value {
  const uint8_t* data;
  size_t size;

  bool is_string() const { return size >= 2 && *data == '"'; }
  bool has_escape() const { return std::memchr(data, '\\', size) != nullptr; }
};

Value value_at(const Bytes& text, const int32_t* envelope, int32_t place) {
  const int32_t start = envelope[place];
  if (start < 0) return {nullptr, 0};
  return {text.data + (start - text.origin), static_cast<size_t>(envelope[place + 1] - start)};
}

template <size_t N>
bool is(const uint8_t* text, const char (&word)[N]) {
  return std::memcmp(text, word, N - 1) == 0;
}

/// Place of the value that a method is routed by.
int32_t place_of(const uint8_t* method, size_t size) {
  switch (size) {
    case 9:
      return is(method, "tasks/get") ? envelope::task_id : no_place;
    case 10:
      return is(method, "tools/call") ? envelope::name : no_place;
    case 11:
      return is(method, "prompts/get") ? envelope::name : no_place;
    case 12:
      if (is(method, "tasks/update") || is(method, "tasks/cancel") || is(method, "tasks/result")) return envelope::task_id;
      return no_place;
    case 14:
      return is(method, "resources/read") ? envelope::uri : no_place;
    case 19:
      if (is(method, "resources/subscribe")) return envelope::uri;
      return is(method, "completion/complete") ? envelope::ref_name : no_place;
    case 21:
      return is(method, "resources/unsubscribe") ? envelope::uri : no_place;
    default:
      return no_place;
  }
}

void look(const Table& table, const Value& value, Key key, int32_t* envelope) {
  envelope[envelope::route] = route_answer::unknown;
  if (!value.is_string()) return;
  if (value.has_escape()) {
    envelope[envelope::route] = route_answer::escaped;
    return;
  }
  key.text = value.data + 1;
  key.size = value.size - 2;
  const Answer answer = table.find(key);
  envelope[envelope::route_epoch] = answer.epoch;
  if (answer.upstream < 0) return;
  envelope[envelope::route] = answer.upstream;
  envelope[envelope::route_strip] = answer.strip;
}

}  // namespace

void route_message(const Table& table, const Bytes& text, uint32_t endpoint, int32_t* envelope) {
  if (envelope[envelope::kind] != kind::request) return;
  const Value method = value_at(text, envelope, envelope::method);
  if (!method.is_string()) return;
  int32_t place = place_of(method.data + 1, method.size - 2);
  if (place == no_place) {
    if (method.has_escape()) envelope[envelope::route] = route_answer::escaped;
    return;
  }
  // A completion is about a prompt by its name or a resource by its URI.
  if (place == envelope::ref_name && envelope[envelope::ref_uri] >= 0) place = envelope::ref_uri;
  const bool is_name = place == envelope::name || place == envelope::ref_name;
  envelope[envelope::route_place] = place;
  const int32_t kind = is_name ? route_kind::name : route_kind::uri;
  look(table, value_at(text, envelope, place), {endpoint, kind, nullptr, 0}, envelope);
}

}  // namespace sluice::route
