// The rows of src/base/limits.ts that are marked "native", under their names in snake_case.
// Used by scan/ and http/. Promises: a test (test/native/mirror) keeps both files equal. Sizes of our own scratch
// space, which no caller can see, follow below.
#pragma once

#include <cstddef>

namespace sluice::limits {

constexpr size_t json_depth_max = 256;
constexpr size_t json_known_key_bytes_max = 64;
constexpr size_t server_name_bytes_max = 64;
constexpr size_t reply_head_bytes_max = 32 * 1024;
constexpr size_t reply_header_count_max = 100;

}  // namespace sluice::limits

namespace sluice::scratch {

/// Smallest text that the index buffer is made for; four bytes of buffer for each byte of text.
constexpr size_t text_bytes_min = 64 * 1024;
/// A buffer for texts up to this size is kept for good.
constexpr size_t text_bytes_kept = 1024 * 1024;
/// A buffer for larger texts is kept while they keep coming: it goes after this many texts in a row that did not need it.
constexpr size_t small_texts_until_release = 64;
/// A buffer for texts beyond this size goes right after the text.
constexpr size_t text_bytes_lent = 4 * 1024 * 1024;

}  // namespace sluice::scratch
