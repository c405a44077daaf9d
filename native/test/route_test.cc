// The look-up in route tables: right in every way a std::map is, inside the table whatever stands there, whole while it is published.
// Built into sluice_tests. Promises: together with a sanitizer, that nothing outside of text and table is read, and that no read is a race.
#include <atomic>
#include <random>
#include <thread>

#include "../route/message.h"
#include "../scan/envelope.h"
#include "check.h"
#include "compare.h"
#include "route_table.h"

namespace {

using sluice::route::Answer;
using sluice::route::Table;
using sluice::test::Entry;
using sluice::test::Exact;
using sluice::test::Model;
using sluice::test::Publisher;
namespace envelope = sluice::envelope;
namespace route_answer = sluice::route_answer;
namespace route_head = sluice::route_head;
namespace route_kind = sluice::route_kind;

const std::vector<Entry> entries = {
    {0, route_kind::name, true, "a__", 1},     {0, route_kind::name, true, "a__b__", 2},
    {0, route_kind::name, true, "x___", 3},    {0, route_kind::name, true, "x__", 4},
    {0, route_kind::name, true, std::string(64, 'n') + "__", 5},
    {0, route_kind::name, false, "a__exact", 6}, {0, route_kind::name, false, "plain", 7},
    {0, route_kind::uri, true, "a+", 8},       {0, route_kind::uri, true, "a+b+", 9},
    {1, route_kind::name, true, "a__", 10},    {0, route_kind::name, false, "", 11},
};

Answer find(const Publisher& publisher, const Table& table, uint32_t endpoint, int32_t kind, const std::string& text) {
  const Exact exact(text);
  const Answer answer = table.find({endpoint, kind, exact.bytes().data, text.size()});
  CHECK(answer.epoch == publisher.epoch());
  return answer;
}

void compare(const Publisher& publisher, const Table& table, const Model& model, const std::string& text) {
  for (uint32_t endpoint = 0; endpoint < 3; endpoint++) {
    for (const int32_t kind : {route_kind::name, route_kind::uri}) {
      const Answer got = find(publisher, table, endpoint, kind, text);
      const Answer wanted = model.find(endpoint, kind, text);
      CHECK_FOR(text, got.upstream == wanted.upstream && (got.upstream < 0 || got.strip == wanted.strip));
    }
  }
}

/// Where a message goes; `strip` comes along.
int32_t route(const Table& table, sluice::scan::Scanner& scanner, const std::string& text, int32_t* strip = nullptr) {
  const Exact exact(text);
  int32_t out[envelope::length];
  sluice::Scan verdict;
  CHECK(scanner.scan(exact.bytes(5), out, verdict) && verdict == sluice::Scan::ok);
  sluice::route::route_message(table, exact.bytes(5), 0, out);
  if (strip != nullptr) *strip = out[envelope::route_strip];
  return out[envelope::route];
}

std::string call(const std::string& method, const std::string& params) {
  return R"({"jsonrpc":"2.0","id":1,"method":")" + method + R"(","params":)" + params + "}";
}

}  // namespace

TEST("only a table of this version and size is opened") {
  Publisher publisher(8, 16);
  Table table;
  CHECK(table.open(publisher.words(), publisher.count()));
  CHECK(!table.open(publisher.words(), publisher.count() - 1));
  CHECK(!table.open(publisher.words(), 3));
  for (const int32_t bad : {0, 7, -8, 16}) {
    publisher.words()[route_head::slots_max] = bad;
    CHECK(!table.open(publisher.words(), publisher.count()));
  }
  publisher.words()[route_head::slots_max] = 8;
  publisher.words()[route_head::magic]++;
  CHECK(!table.open(publisher.words(), publisher.count()));
}

TEST("exact texts, prefixes at every mark, other owners: as a map says") {
  Publisher publisher(32, 256);
  Table table;
  CHECK(table.open(publisher.words(), publisher.count()));
  CHECK(find(publisher, table, 0, route_kind::name, "a__x").upstream == -1);
  publisher.publish(entries);
  const Model model(entries);
  for (const Entry& entry : entries) {
    for (size_t size = 0; size <= entry.text.size(); size++) compare(publisher, table, model, entry.text.substr(0, size));
    for (const char* more : {"x", "_", "__", "+", "b__", "b+", "___", "exact"}) compare(publisher, table, model, entry.text + more);
  }
  std::mt19937 random(7);
  for (int round = 0; round < 20000; round++) {
    std::string text;
    for (size_t size = random() % 12; size > 0; size--) text += "_+abx_"[random() % 6];
    if (round % 100 == 0) text.insert(0, random() % 80, 'n');
    compare(publisher, table, model, text);
  }
}

TEST("ten thousand names") {
  std::vector<Entry> many;
  for (int32_t i = 0; i < 10000; i++) many.push_back({0, route_kind::name, i % 2 == 0, "server-" + std::to_string(i) + "__", i});
  Publisher publisher(32768, 200000);
  Table table;
  CHECK(table.open(publisher.words(), publisher.count()));
  for (int round = 0; round < 3; round++) {
    publisher.publish(many);
    for (const Entry& entry : many) CHECK(find(publisher, table, 0, route_kind::name, entry.text).upstream == entry.upstream);
    CHECK(find(publisher, table, 0, route_kind::name, "server-10000__").upstream == -1);
  }
}

TEST("a half full of anything: no read outside of it, and an end") {
  std::mt19937 random(11);
  for (int round = 0; round < 300; round++) {
    Publisher publisher(16, 64);
    Table table;
    CHECK(table.open(publisher.words(), publisher.count()));
    publisher.publish({entries.begin(), entries.begin() + 4});
    for (size_t at = route_head::halves; at < publisher.count(); at++) {
      if (random() % 3 == 0) publisher.words()[at] = static_cast<int32_t>(random() >> (random() % 32));
    }
    for (const Entry& entry : entries) find(publisher, table, entry.endpoint, entry.kind, entry.text + "x");
    // Every slot the hash that is looked for, every record somewhere.
    const std::string text = "plain";
    const Exact exact(text);
    const auto hash = static_cast<int32_t>(sluice::route::hash_text(0, exact.bytes().data, text.size()));
    for (size_t at = route_head::words; at < publisher.count(); at += 2) publisher.words()[at] = hash;
    find(publisher, table, 0, route_kind::name, text);
  }
}

TEST("messages: which value is looked up, and when none is") {
  Publisher publisher(32, 256);
  Table table;
  CHECK(table.open(publisher.words(), publisher.count()));
  publisher.publish(entries);
  sluice::scan::Scanner scanner;
  int32_t strip = 0;
  CHECK(route(table, scanner, call("tools/call", R"({"name":"a__b__c"})"), &strip) == 2 && strip == 6);
  CHECK(route(table, scanner, call("prompts/get", R"({"name":"plain"})"), &strip) == 7 && strip == 0);
  CHECK(route(table, scanner, call("resources/read", R"({"uri":"a+x"})")) == 8);
  CHECK(route(table, scanner, call("tasks/result", R"({"taskId":"a+b+1"})")) == 9);
  CHECK(route(table, scanner, call("completion/complete", R"({"ref":{"name":"a__p"}})")) == 1);
  CHECK(route(table, scanner, call("completion/complete", R"({"ref":{"uri":"a+p","name":"x__p"}})")) == 8);
  CHECK(route(table, scanner, call("tools/call", R"({"name":"b__c"})")) == route_answer::unknown);
  CHECK(route(table, scanner, call("tools/call", R"({"name":7})")) == route_answer::unknown);
  CHECK(route(table, scanner, call("tools/call", "{}")) == route_answer::unknown);
  CHECK(route(table, scanner, call("tools/call", R"({"name":"a_\u005fx"})")) == route_answer::escaped);
  CHECK(route(table, scanner, call("tools\\/call", R"({"name":"a__x"})")) == route_answer::escaped);
  CHECK(route(table, scanner, call("tools/list", R"({"name":"a__x"})")) == route_answer::none);
  CHECK(route(table, scanner, R"({"method":"tools/call","params":{"name":"a__x"}})") == route_answer::none);
  CHECK(route(table, scanner, "[1]") == route_answer::none);
  CHECK(route(table, scanner, "7") == route_answer::none);
}

TEST("threads look up while the table is published: every answer is of one publication, none out of force") {
  constexpr int32_t names = 200;
  constexpr int readers = 4;
  constexpr int look_ups = 30000;
  Publisher publisher(512, 4096);
  const auto entry_of = [](int32_t name, int32_t epoch) {
    return Entry{0, route_kind::name, name % 2 == 0, std::to_string(name) + "__", epoch * names + name};
  };
  std::atomic<int> running{readers};
  std::atomic<int> faults{0};
  std::vector<std::thread> threads;
  for (int reader = 0; reader < readers; reader++) {
    threads.emplace_back([&, reader] {
      Table table;
      if (!table.open(publisher.words(), publisher.count())) faults++;
      std::mt19937 random(static_cast<unsigned>(reader));
      for (int i = 0; i < look_ups; i++) {
        const auto name = static_cast<int32_t>(random() % names);
        const std::string text = std::to_string(name) + "__";
        const int32_t before = publisher.epoch();
        const Answer answer = table.find({0, route_kind::name, reinterpret_cast<const uint8_t*>(text.data()), text.size()});
        const bool is_missing = answer.epoch == 0 || (name + answer.epoch) % 5 == 0;
        const int32_t wanted = is_missing ? -1 : entry_of(name, answer.epoch).upstream;
        if (answer.upstream != wanted || answer.epoch < before || answer.epoch > publisher.epoch()) faults++;
      }
      running--;
    });
  }
  while (running > 0) {
    std::vector<Entry> next;
    const int32_t epoch = publisher.epoch() + 1;
    for (int32_t i = 0; i < names; i++) {
      const int32_t name = (i * 7 + epoch) % names;
      if ((name + epoch) % 5 != 0) next.push_back(entry_of(name, epoch));
    }
    publisher.publish(next);
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(faults == 0);
  CHECK(publisher.epoch() > 2);
}
