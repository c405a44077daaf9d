// The twin of src/scan/lookup.ts over the same words.
// Called by message.cc and the tests. Promises: see table.h.
#include "table.h"

#include <algorithm>

#include "../core/limits.h"
#include "hash.h"
#include "layout.h"

namespace sluice::route {
namespace {

/// Every word is read in order with the reads around it: only so does an epoch that did not move say that nothing else did.
/// (Acquire: a plain load on x86-64. What is read is written by JavaScript's Atomics, which are in order throughout.)
inline uint32_t load(const int32_t* word) { return static_cast<uint32_t>(__atomic_load_n(word, __ATOMIC_ACQUIRE)); }

}  // namespace

struct Table::Half {
  const int32_t* slots;
  const int32_t* records;
  uint32_t mask;
};

bool Table::open(const int32_t* words, size_t count) {
  if (count < static_cast<size_t>(route_head::words) || words[route_head::magic] != route_magic) return false;
  const auto slots = static_cast<uint32_t>(words[route_head::slots_max]);
  const auto record_words = static_cast<uint32_t>(words[route_head::record_words_max]);
  if (slots == 0 || (slots & (slots - 1)) != 0) return false;
  const size_t half = size_t{slots} * static_cast<size_t>(route_slot::words) + record_words;
  if (count != static_cast<size_t>(route_head::words) + 2 * half) return false;
  words_ = words;
  slots_max_ = slots;
  record_words_max_ = record_words;
  return true;
}

Answer Table::find(const Key& key) const {
  for (;;) {
    Answer answer{-1, 0, 0};
    const uint32_t epoch = load(words_ + route_head::epoch);
    if (!find_in(epoch & 1, key, answer)) answer.upstream = -1;
    answer.epoch = static_cast<int32_t>(epoch);
    // Each further turn means that a whole publication came between.
    if (load(words_ + route_head::epoch) == epoch) return answer;
  }
}

bool Table::find_in(uint32_t half, const Key& key, Answer& answer) const {
  const int32_t* const head = words_ + route_head::halves + half * route_half::words;
  const uint32_t slots = load(head + route_half::slots);
  if (slots == 0 || slots > slots_max_) return false;
  const int32_t* const all_slots = words_ + route_head::words;
  const Half found{all_slots + size_t{half} * slots_max_ * route_slot::words,
                   all_slots + size_t{2} * slots_max_ * route_slot::words + size_t{half} * record_words_max_, slots - 1};
  const uint32_t owner = (key.endpoint * 2 + static_cast<uint32_t>(key.kind)) * 2;
  if (load(head + route_half::exacts) != 0 && probe(found, owner, key, answer)) return true;
  if (load(head + route_half::prefixes) == 0) return false;
  return key.kind == route_kind::uri ? find_uri(found, key, answer) : find_name(found, key, answer);
}

bool Table::find_name(const Half& half, const Key& key, Answer& answer) const {
  if (key.size < 2) return false;
  for (size_t at = std::min(limits::server_name_bytes_max, key.size - 2) + 1; at-- > 0;) {
    if (key.text[at] != '_' || key.text[at + 1] != '_') continue;
    const uint32_t owner = (key.endpoint * 2 + route_kind::name) * 2 + 1;
    if (probe(half, owner, {key.endpoint, key.kind, key.text, at + 2}, answer)) return true;
  }
  return false;
}

bool Table::find_uri(const Half& half, const Key& key, Answer& answer) const {
  if (key.size < 1) return false;
  for (size_t at = std::min(limits::server_name_bytes_max, key.size - 1) + 1; at-- > 0;) {
    if (key.text[at] != '+') continue;
    const uint32_t owner = (key.endpoint * 2 + route_kind::uri) * 2 + 1;
    if (probe(half, owner, {key.endpoint, key.kind, key.text, at + 1}, answer)) return true;
  }
  return false;
}

bool Table::probe(const Half& half, uint32_t owner, const Key& key, Answer& answer) const {
  const uint32_t hash = hash_text(owner >> 1, key.text, key.size);
  // Half of the slots are empty; the count bounds the search in a half that is being filled, whose answer is thrown away.
  for (uint32_t turn = 0; turn <= half.mask; turn++) {
    const int32_t* const slot = half.slots + size_t{(hash + turn) & half.mask} * route_slot::words;
    const uint32_t found = load(slot + route_slot::hash);
    if (found == 0) return false;
    if (found == hash && is_record(half, load(slot + route_slot::record), owner, key, answer)) return true;
  }
  return false;
}

bool Table::is_record(const Half& half, uint32_t record, uint32_t owner, const Key& key, Answer& answer) const {
  // In a half that is being filled any number may stand anywhere.
  if (uint64_t{record} + route_record::words + (uint64_t{key.size} + 3) / 4 > record_words_max_) return false;
  const int32_t* const at = half.records + record;
  if (load(at + route_record::owner) != owner || load(at + route_record::bytes) != key.size) return false;
  const int32_t* word = at + route_record::words;
  size_t from = 0;
  for (; from + 4 <= key.size; from += 4) {
    if (load(word++) != packed_word(key.text + from)) return false;
  }
  if (from < key.size && load(word) != packed_rest(key.text + from, key.size - from)) return false;
  answer.upstream = static_cast<int32_t>(load(at + route_record::upstream));
  answer.strip = static_cast<int32_t>(load(at + route_record::strip));
  return true;
}

}  // namespace sluice::route
