// The scan on every kernel: cut, changed, deep, and at the edges of blocks. Built into sluice_tests.
// Promises: together with a sanitizer, that nothing outside of a text is read and that all kernels agree. (What the numbers
// must be is tested from TypeScript, against an oracle: test/contract/scanner.)
#include <cstdio>
#include <random>

#include "../core/limits.h"
#include "check.h"
#include "compare.h"

namespace {

using sluice::Scan;
using sluice::test::Exact;
using sluice::test::Kernels;
namespace envelope = sluice::envelope;

const std::string messages[] = {
    R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"a":[1,2.5e-3,true]},"_meta":{"progressToken":"x"}}})",
    R"({"result":{"tools":[{"name":"ä","text":"say \"hi\"\n\\ \u00e9 \ud83d\ude00"}],"nextCursor":"2","_meta":{}},"jsonrpc":"2.0","id":"7"})",
    R"({"m\u0065thod":"x","params":{"ref":{"type":"ref/prompt","name":"n"},"ref":{"uri":"u"}},"params":{"cursor":null}})",
    "[ {\"id\" : 1 ,\r\n\t\"error\":{\"code\":-32600}} , [ ] , { } , \"\" , -0.0 , false ]",
    "\"just a string\"", "12345", " null ",
};

Scan scan(Kernels& kernels, const std::string& text, size_t offset = 0) {
  const Exact exact(text, offset);
  int32_t out[envelope::length];
  std::string dispute;
  const Scan verdict = kernels.scan(exact.bytes(5), out, dispute);
  CHECK_FOR(text.substr(0, 300) + " → " + dispute, dispute.empty());
  return verdict;
}

std::string repeat(const std::string& text, size_t times) {
  std::string all;
  for (size_t i = 0; i < times; i++) all += text;
  return all;
}

}  // namespace

TEST("there is more than one kernel to compare") {
  Kernels kernels;
  CHECK(kernels.count() >= 2);
  sluice::scan::Scanner scanner;
  CHECK(!scanner.kernel().choose("none-such"));
  CHECK(scanner.kernel().name() == sluice::scan::Kernel::names()[0]);
}

TEST("messages, whole and at any address") {
  Kernels kernels;
  for (const std::string& text : messages) {
    for (size_t offset = 0; offset < 65; offset++) CHECK_FOR(text, scan(kernels, text, offset) == Scan::ok);
  }
}

TEST("messages, cut at every place") {
  Kernels kernels;
  for (const std::string& text : messages) {
    for (size_t size = 0; size < text.size(); size++) scan(kernels, text.substr(0, size));
  }
}

TEST("messages, each byte changed into every value") {
  Kernels kernels;
  for (const std::string& text : messages) {
    std::string changed = text;
    for (size_t at = 0; at < text.size(); at++) {
      for (int byte = 0; byte < 256; byte++) {
        changed[at] = static_cast<char>(byte);
        scan(kernels, changed);
      }
      changed[at] = text[at];
    }
  }
}

TEST("messages moved across the edges of blocks by white space, and by text inside a string") {
  Kernels kernels;
  for (const std::string& text : messages) {
    for (size_t width = 0; width < 130; width++) {
      CHECK(scan(kernels, std::string(width, ' ') + text + std::string(width % 7, '\n')) == Scan::ok);
      CHECK(scan(kernels, "[\"" + std::string(width, 'x') + "\"," + text + "]") == Scan::ok);
      CHECK(scan(kernels, "[\"" + std::string(width, '\\') + "\"," + text + "]") == (width % 2 == 0 ? Scan::ok : Scan::syntax));
    }
  }
}

TEST("depth") {
  Kernels kernels;
  constexpr size_t most = sluice::limits::json_depth_max;
  CHECK(scan(kernels, repeat("[", most) + repeat("]", most)) == Scan::ok);
  CHECK(scan(kernels, repeat("[", most + 1) + repeat("]", most + 1)) == Scan::depth);
  CHECK(scan(kernels, repeat("{\"a\":", most) + "1" + repeat("}", most)) == Scan::ok);
  CHECK(scan(kernels, repeat("{\"a\":", most + 1) + "1" + repeat("}", most + 1)) == Scan::depth);
  CHECK(scan(kernels, repeat("{\"params\":", most) + "1" + repeat("}", most)) == Scan::ok);
  CHECK(scan(kernels, repeat("[", 1000000)) == Scan::depth);
  CHECK(scan(kernels, repeat("[", most) + "1[") == Scan::syntax);
}

TEST("large texts: the index buffer grows, is let go of, and comes back") {
  Kernels kernels;
  for (const size_t size : {size_t{100000}, size_t{1500000}, size_t{5000000}, size_t{100}, size_t{3000000}}) {
    CHECK(scan(kernels, "[" + repeat("{},", size / 3) + "0]") == Scan::ok);
    for (int i = 0; i < 70; i++) CHECK(scan(kernels, "{\"id\":1}") == Scan::ok);
  }
}

TEST("random bytes of a small alphabet") {
  Kernels kernels;
  std::mt19937 random(20260728);
  const std::string alphabet = "{}[]\",:\\u0eE+-. \n\ttruefalsn19a\xc3\xa9\xe2\x82\xf0\x01";
  for (int round = 0; round < 20000; round++) {
    std::string text;
    const size_t size = random() % 200;
    while (text.size() < size) text += alphabet[random() % alphabet.size()];
    scan(kernels, text);
  }
}
