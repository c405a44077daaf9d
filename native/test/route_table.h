// Publishes a route table the way src/route/table.ts does, and says what must be found in it, by a std::map.
// Used by route_test.cc and fuzz.cc. Promises: every word is stored in order with the last flip, so that a sanitizer for threads can judge readers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "../core/limits.h"
#include "../route/hash.h"
#include "../route/layout.h"
#include "../route/table.h"

namespace sluice::test {

/// One way to an upstream; a prefix ends in its mark.
struct Entry {
  uint32_t endpoint;
  int32_t kind;
  bool prefix;
  std::string text;
  int32_t upstream;
};

/// The publishing end of a table.
class Publisher {
 public:
  Publisher(uint32_t slots, uint32_t record_words)
      : slots_(slots), record_words_(record_words), count_(route_head::words + 2 * (slots * route_slot::words + record_words)),
        words_(new int32_t[count_]()) {
    words_[route_head::magic] = route::route_magic;
    words_[route_head::slots_max] = static_cast<int32_t>(slots);
    words_[route_head::record_words_max] = static_cast<int32_t>(record_words);
  }

  int32_t* words() { return words_.get(); }
  size_t count() const { return count_; }
  int32_t epoch() const { return __atomic_load_n(words_.get() + route_head::epoch, __ATOMIC_ACQUIRE); }

  void publish(const std::vector<Entry>& entries) {
    const int32_t next = epoch() + 1;
    const uint32_t half = static_cast<uint32_t>(next) & 1;
    int32_t* const slots = words_.get() + route_head::words + half * slots_ * route_slot::words;
    int32_t* const records = words_.get() + route_head::words + 2 * slots_ * route_slot::words + half * record_words_;
    int32_t* const head = words_.get() + route_head::halves + half * route_half::words;
    for (uint32_t i = 0; i < slots_; i++) put(slots + i * route_slot::words + route_slot::hash, 0);
    uint32_t record = 0;
    int32_t prefixes = 0;
    for (const Entry& entry : entries) {
      put_slot(slots, entry, record);
      record += put_record(records + record, entry);
      prefixes += entry.prefix ? 1 : 0;
    }
    put(head + route_half::slots, static_cast<int32_t>(slots_));
    put(head + route_half::exacts, static_cast<int32_t>(entries.size()) - prefixes);
    put(head + route_half::prefixes, prefixes);
    put(head + route_half::record_words, static_cast<int32_t>(record));
    put(words_.get() + route_head::epoch, next);
  }

 private:
  static void put(int32_t* word, int32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

  static const uint8_t* bytes(const std::string& text) { return reinterpret_cast<const uint8_t*>(text.data()); }

  void put_slot(int32_t* slots, const Entry& entry, uint32_t record) {
    const uint32_t owner = entry.endpoint * 2 + static_cast<uint32_t>(entry.kind);
    const uint32_t hash = route::hash_text(owner, bytes(entry.text), entry.text.size());
    for (uint32_t turn = 0;; turn++) {
      int32_t* const slot = slots + ((hash + turn) & (slots_ - 1)) * route_slot::words;
      if (slot[route_slot::hash] != 0) continue;
      put(slot + route_slot::record, static_cast<int32_t>(record));
      put(slot + route_slot::hash, static_cast<int32_t>(hash));
      return;
    }
  }

  static uint32_t put_record(int32_t* at, const Entry& entry) {
    const size_t size = entry.text.size();
    const uint32_t key = (entry.endpoint * 2 + static_cast<uint32_t>(entry.kind)) * 2 + (entry.prefix ? 1 : 0);
    put(at + route_record::owner, static_cast<int32_t>(key));
    put(at + route_record::bytes, static_cast<int32_t>(size));
    put(at + route_record::upstream, entry.upstream);
    put(at + route_record::strip, entry.prefix ? static_cast<int32_t>(size) : 0);
    uint32_t words = route_record::words;
    for (size_t from = 0; from < size; from += 4) {
      const size_t rest = size - from;
      const uint8_t* const text = bytes(entry.text) + from;
      put(at + words++, static_cast<int32_t>(rest < 4 ? route::packed_rest(text, rest) : route::packed_word(text)));
    }
    return words;
  }

  uint32_t slots_;
  uint32_t record_words_;
  size_t count_;
  std::unique_ptr<int32_t[]> words_;
};

/// What must be found.
class Model {
 public:
  explicit Model(const std::vector<Entry>& entries) {
    for (const Entry& entry : entries) entries_[{entry.endpoint, entry.kind, entry.prefix, entry.text}] = entry.upstream;
  }

  route::Answer find(uint32_t endpoint, int32_t kind, const std::string& text) const {
    const auto exact = entries_.find({endpoint, kind, false, text});
    if (exact != entries_.end()) return {exact->second, 0, 0};
    const std::string mark = kind == route_kind::name ? "__" : "+";
    route::Answer answer{-1, 0, 0};
    for (size_t at = text.find(mark); at != std::string::npos && at <= limits::server_name_bytes_max; at = text.find(mark, at + 1)) {
      const auto prefix = entries_.find({endpoint, kind, true, text.substr(0, at + mark.size())});
      if (prefix != entries_.end()) answer = {prefix->second, static_cast<int32_t>(at + mark.size()), 0};
    }
    return answer;
  }

 private:
  std::map<std::tuple<uint32_t, int32_t, bool, std::string>, int32_t> entries_;
};

}  // namespace sluice::test
