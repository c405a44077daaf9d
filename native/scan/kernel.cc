// The only file that includes simdjson.
// Called by scanner.cc. Promises: see kernel.h.
#include "kernel.h"

#include <simdjson.h>

#include <new>

#include "../core/limits.h"
#include "avx2.h"
#include "escapes.h"

namespace sluice::scan {
namespace {

constexpr std::string_view own_name = "sluice-avx2";

}  // namespace

Kernel::Kernel()
    : implementation_(simdjson::get_available_implementations().detect_best_supported()), kind_(Kind::own) {
  // Wider than ours where simdjson has AVX-512: measured once such a machine is at hand, ours until then.
  if (!has_avx2()) kind_ = implementation_->name() == "fallback" ? Kind::fallback : Kind::other;
}

Kernel::~Kernel() = default;

std::vector<std::string> Kernel::names() {
  std::vector<std::string> names;
  if (has_avx2()) names.emplace_back(own_name);
  for (const simdjson::implementation* each : simdjson::get_available_implementations()) {
    if (each->supported_by_runtime_system()) names.push_back(each->name());
  }
  return names;
}

std::string Kernel::library() { return std::string("simdjson ") + SIMDJSON_VERSION; }

bool Kernel::choose(std::string_view name) {
  if (name == own_name) {
    if (!has_avx2()) return false;
    implementation_ = simdjson::get_available_implementations().detect_best_supported();
    kind_ = Kind::own;
  } else {
    const simdjson::implementation* found = simdjson::get_available_implementations()[name];
    if (found == nullptr || !found->supported_by_runtime_system()) return false;
    implementation_ = found;
    kind_ = name == "fallback" ? Kind::fallback : Kind::other;
  }
  drop();
  return true;
}

std::string Kernel::name() const { return kind_ == Kind::own ? std::string(own_name) : implementation_->name(); }

bool Kernel::reserve(size_t size) {
  if (size <= capacity_) return true;
  size_t wanted = scratch::text_bytes_min;
  while (wanted < size && wanted < scratch::text_bytes_lent) wanted *= 2;
  if (wanted < size) wanted = size;
  drop();
  if (kind_ == Kind::own) {
    places_.reset(new (std::nothrow) uint32_t[wanted + avx2_places_extra]);
    if (places_ == nullptr) return false;
  } else {
    // Nesting is ours to follow: simdjson's own second stage, which would need room for it, never runs.
    if (implementation_->create_dom_parser_implementation(wanted, 1, parser_)) return false;
  }
  capacity_ = wanted;
  return true;
}

bool Kernel::index(const uint8_t* text, size_t size, Index& found) {
  if (kind_ == Kind::own) return index_own(text, size, found);
  // The fallback kernel looks at UTF-8 in strings only, and beyond the end when a character is cut short there.
  if (kind_ == Kind::fallback && !is_utf8(text, size)) return false;
  if (parser_->stage1(text, size, simdjson::stage1_mode::regular)) return false;
  const Escapes escapes = look_for_escapes(text, size);
  found.places = parser_->structural_indexes.get();
  found.count = parser_->n_structural_indexes;
  found.has_escapes = escapes.any;
  found.has_newline = escapes.newline;
  return escapes.sound;
}

bool Kernel::index_own(const uint8_t* text, size_t size, Index& found) {
  Pass pass;
  index_avx2(text, size, places_.get(), pass);
  found.places = places_.get();
  found.count = pass.count;
  found.has_escapes = pass.has_escapes;
  found.has_newline = pass.has_newline;
  return pass.sound && pass.count > 0 && (pass.is_ascii || is_utf8(text, size));
}

void Kernel::release(size_t size) {
  if (capacity_ <= scratch::text_bytes_kept) return;
  small_texts_ = size > scratch::text_bytes_kept ? 0 : small_texts_ + 1;
  if (capacity_ <= scratch::text_bytes_lent && small_texts_ < scratch::small_texts_until_release) return;
  drop();
}

void Kernel::drop() {
  parser_.reset();
  places_.reset();
  capacity_ = 0;
  small_texts_ = 0;
}

bool Kernel::is_utf8(const uint8_t* text, size_t size) const {
  return size == 0 || implementation_->validate_utf8(reinterpret_cast<const char*>(text), size);
}

}  // namespace sluice::scan
