// Looks texts up in a route table that another thread may be publishing anew: no lock, no allocation, no torn answer.
// Called by message.cc. Promises: never reads outside of the table, whatever is being written there; the answer is wholly of the
// publication that `epoch` names, which was in force when the look-up ended.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::route {

/// What a look-up says.
struct Answer {
  int32_t upstream;  ///< -1: in no entry
  int32_t strip;     ///< bytes at the front that are not part of the upstream's own name
  int32_t epoch;
};

/// A text that is looked up, and for whom.
struct Key {
  uint32_t endpoint;
  int32_t kind;  ///< a route_kind
  const uint8_t* text;
  size_t size;
};

/// A route table in memory that somebody else owns and keeps.
class Table {
 public:
  /// Takes `words` for a table. False when they hold none of this version.
  bool open(const int32_t* words, size_t count);

  /// An exact entry, else the longest prefix that ends in a mark.
  Answer find(const Key& key) const;

 private:
  struct Half;

  bool find_in(uint32_t half, const Key& key, Answer& answer) const;
  bool find_name(const Half& half, const Key& key, Answer& answer) const;
  bool find_uri(const Half& half, const Key& key, Answer& answer) const;
  bool probe(const Half& half, uint32_t owner, const Key& key, Answer& answer) const;
  bool is_record(const Half& half, uint32_t record, uint32_t owner, const Key& key, Answer& answer) const;

  const int32_t* words_ = nullptr;
  uint32_t slots_max_ = 0;
  uint32_t record_words_max_ = 0;
};

}  // namespace sluice::route
