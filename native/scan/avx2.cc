// 64 bytes a step: masks of what each byte is, then the places whose bits remain. Called by kernel.cc. Promises: see avx2.h.
// Special to one family of processors, so it is compiled for it function by function; its twin is simdjson's kernel.
#include "avx2.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <array>
#include <cstring>

#include "escapes.h"

#define SLUICE_AVX2 __attribute__((target("avx2,bmi,bmi2,lzcnt,pclmul,popcnt")))
#define SLUICE_AVX2_INLINE SLUICE_AVX2 __attribute__((always_inline)) inline

namespace sluice::scan {
namespace {

constexpr size_t step = 64;

/// For each byte, the numbers of its bits, lowest first.
struct alignas(64) BitTable {
  uint8_t row[256][8];
};

constexpr BitTable bit_table = [] {
  BitTable table{};
  for (unsigned byte = 0; byte < 256; byte++) {
    unsigned found = 0;
    for (unsigned bit = 0; bit < 8; bit++) {
      if ((byte >> bit & 1) != 0) table.row[byte][found++] = static_cast<uint8_t>(bit);
    }
  }
  return table;
}();

/// 64 bytes in two registers.
struct Text {
  __m256i low;
  __m256i high;
};

SLUICE_AVX2_INLINE Text load(const uint8_t* from) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32))};
}

SLUICE_AVX2_INLINE uint64_t mask(__m256i low, __m256i high) {
  const auto low_bits = static_cast<uint32_t>(_mm256_movemask_epi8(low));
  return low_bits | static_cast<uint64_t>(static_cast<uint32_t>(_mm256_movemask_epi8(high))) << 32;
}

SLUICE_AVX2_INLINE uint64_t equal(const Text& text, char byte) {
  const __m256i wanted = _mm256_set1_epi8(byte);
  return mask(_mm256_cmpeq_epi8(text.low, wanted), _mm256_cmpeq_epi8(text.high, wanted));
}

SLUICE_AVX2_INLINE __m256i twice(__m128i row) { return _mm256_broadcastsi128_si256(row); }

/// What each byte is, one bit a byte.
struct Masks {
  uint64_t backslash;
  uint64_t quote;
  uint64_t structural;  ///< , : [ ] { } and two control characters that look like them here: the walk refuses those
  uint64_t blank;
  uint64_t control;
};

SLUICE_AVX2_INLINE Masks classify(const Text& text) {
  // A shuffle takes the low half of each byte as an index, and gives 0 for bytes beyond ASCII: rows hold, at the place of its
  // low half, the one byte that is meant. Brackets differ from braces by one bit, which is set on both beforehand.
  const __m256i blanks =
      twice(_mm_setr_epi8(' ', 100, 100, 100, 17, 100, 113, 2, 100, '\t', '\n', 112, 100, '\r', 100, 100));
  const __m256i structurals = twice(_mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ':', '{', ',', '}', 0, 0));
  const __m256i bit = _mm256_set1_epi8(0x20);
  const __m256i last_control = _mm256_set1_epi8(0x1f);
  const __m256i& low = text.low;
  const __m256i& high = text.high;
  return {
      equal(text, '\\'),
      equal(text, '"'),
      mask(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(structurals, low), _mm256_or_si256(low, bit)),
           _mm256_cmpeq_epi8(_mm256_shuffle_epi8(structurals, high), _mm256_or_si256(high, bit))),
      mask(_mm256_cmpeq_epi8(_mm256_shuffle_epi8(blanks, low), low),
           _mm256_cmpeq_epi8(_mm256_shuffle_epi8(blanks, high), high)),
      mask(_mm256_cmpeq_epi8(_mm256_min_epu8(low, last_control), low),
           _mm256_cmpeq_epi8(_mm256_min_epu8(high, last_control), high)),
  };
}

/// The bytes that may follow a backslash: " / \ b f n r t u. The first row holds, for a low half, the high halves it goes with.
SLUICE_AVX2_INLINE __m256i are_escapable(__m256i text) {
  constexpr char of2 = 1;
  constexpr char of5 = 2;
  constexpr char of6 = 4;
  constexpr char of7 = 8;
  const __m256i by_low = twice(
      _mm_setr_epi8(0, 0, of2 | of6 | of7, 0, of7, of7, of6, 0, 0, 0, 0, 0, of5, 0, of6, of2));
  const __m256i by_high = twice(_mm_setr_epi8(0, 0, of2, 0, 0, of5, of6, of7, 0, 0, 0, 0, 0, 0, 0, 0));
  const __m256i high_half = _mm256_and_si256(_mm256_srli_epi16(text, 4), _mm256_set1_epi8(0x0f));
  const __m256i common = _mm256_and_si256(_mm256_shuffle_epi8(by_low, text), _mm256_shuffle_epi8(by_high, high_half));
  return _mm256_cmpgt_epi8(common, _mm256_setzero_si256());
}

/// Each bit becomes the parity of the bits up to and with it: on from each opening quote to before its closing one.
SLUICE_AVX2_INLINE uint64_t parity_so_far(uint64_t bits) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi64_si128(static_cast<int64_t>(bits)), _mm_set1_epi8(-1), 0);
  return static_cast<uint64_t>(_mm_cvtsi128_si64(product));
}

/// Whether four digits follow each \u of a block; `units` marks the u of each.
SLUICE_AVX2 __attribute__((noinline)) bool are_units(const uint8_t* text, size_t size, size_t at, uint64_t units) {
  for (; units != 0; units = _blsr_u64(units)) {
    const size_t backslash = at + _tzcnt_u64(units) - 1;
    if (escape_length(text + backslash, size - backslash) != 6) return false;
  }
  return true;
}

/// Writes the places of the bits from `to` on; returns where the next ones go. Few of them are taken one by one; more cost
/// the same whatever their number. Room for four or eight numbers too many is needed.
SLUICE_AVX2_INLINE uint32_t* write(uint32_t* to, uint64_t bits, uint32_t at) {
  if (bits == 0) return to;
  const auto count = static_cast<size_t>(_mm_popcnt_u64(bits));
  uint32_t* const next = to + count;
  if (count <= 8) {
    for (int i = 0; i < 4; i++) {
      to[i] = at + static_cast<uint32_t>(_tzcnt_u64(bits));
      bits = _blsr_u64(bits);
    }
    if (count <= 4) return next;
    for (int i = 4; i < 8; i++) {
      to[i] = at + static_cast<uint32_t>(_tzcnt_u64(bits));
      bits = _blsr_u64(bits);
    }
    return next;
  }
  __m256i base = _mm256_set1_epi32(static_cast<int32_t>(at));
  const __m256i eight = _mm256_set1_epi32(8);
  for (unsigned byte = 0; byte < 8; byte++) {
    const uint64_t row = bits & 0xff;
    bits >>= 8;
    const __m256i numbers = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bit_table.row[row])));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_add_epi32(numbers, base));
    base = _mm256_add_epi32(base, eight);
    to += _mm_popcnt_u64(row);
  }
  return next;
}

/// What goes over from block to block. Kept in registers: no function but inlined ones may take its address.
struct Carry {
  uint32_t* to;
  __m256i beyond_ascii;
  uint64_t escape_open;  ///< 1: the last byte so far is a backslash that escapes the next one
  uint64_t string_open;  ///< all ones: the block ended inside a string
  uint64_t scalar_open;  ///< 1: the last byte so far belongs to a number, a literal or garbage
  uint64_t fault;
  uint64_t newline;
  uint64_t backslash;
};

/// One block. `at` is the place of its first byte, once the first `skip` bytes, which were seen before, are left out.
SLUICE_AVX2_INLINE void block(Carry& carry, const Text& text, const uint8_t* all, size_t size, size_t at, unsigned skip) {
  carry.beyond_ascii = _mm256_or_si256(carry.beyond_ascii, _mm256_or_si256(text.low, text.high));
  Masks masks = classify(text);
  if (skip > 0) {
    masks.backslash >>= skip;
    masks.quote >>= skip;
    masks.structural >>= skip;
    masks.control >>= skip;
    masks.blank = masks.blank >> skip | ~(~uint64_t{0} >> skip);
  }
  if ((masks.backslash | carry.escape_open) != 0) {
    // escapes.cc explains the arithmetic.
    constexpr uint64_t odd_places = 0xaaaaaaaaaaaaaaaa;
    const uint64_t starting = masks.backslash & ~carry.escape_open;
    const uint64_t behind = (((starting << 1) | odd_places) - starting) ^ odd_places;
    const uint64_t escaped = behind ^ (masks.backslash | carry.escape_open);
    carry.escape_open = (behind & masks.backslash) >> 63;
    carry.backslash |= escaped;
    carry.fault |= escaped & ~(mask(are_escapable(text.low), are_escapable(text.high)) >> skip);
    const uint64_t units = escaped & (equal(text, 'u') >> skip);
    if (units != 0 && !are_units(all, size, at, units)) carry.fault = 1;
    masks.quote &= ~escaped;
  }
  const uint64_t in_string = parity_so_far(masks.quote) ^ carry.string_open;
  carry.string_open = static_cast<uint64_t>(static_cast<int64_t>(in_string) >> 63);
  if (masks.control != 0) {
    carry.fault |= masks.control & in_string;
    carry.newline |= (equal(text, '\n') | equal(text, '\r')) >> skip;
  }
  const uint64_t scalar = ~(masks.structural | masks.blank);
  const uint64_t continued = scalar & ~masks.quote;
  const uint64_t starts = scalar & ~(continued << 1 | carry.scalar_open);
  carry.scalar_open = continued >> 63;
  const uint64_t places = (masks.structural | starts) & ~(in_string ^ masks.quote);
  carry.to = write(carry.to, places, static_cast<uint32_t>(at));
}

}  // namespace

bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("popcnt");
}

SLUICE_AVX2 void index_avx2(const uint8_t* text, size_t size, uint32_t* places, Pass& pass) {
  Carry carry{places, _mm256_setzero_si256(), 0, 0, 0, 0, 0, 0};
  size_t at = 0;
  for (; at + step <= size; at += step) block(carry, load(text + at), text, size, at, 0);
  if (at < size && size >= step) {
    // The last 64 bytes once more, without those already seen.
    block(carry, load(text + size - step), text, size, at, static_cast<unsigned>(step - (size - at)));
  } else if (at < size) {
    uint8_t padded[step];
    std::memset(padded, ' ', step);
    std::memcpy(padded, text, size);
    block(carry, load(padded), text, size, 0, 0);
  }
  pass.count = static_cast<size_t>(carry.to - places);
  pass.sound = (carry.fault | carry.string_open | carry.escape_open) == 0;
  pass.has_escapes = carry.backslash != 0;
  pass.has_newline = carry.newline != 0;
  pass.is_ascii = _mm256_movemask_epi8(carry.beyond_ascii) == 0;
}

}  // namespace sluice::scan

#else

namespace sluice::scan {

bool has_avx2() { return false; }

void index_avx2(const uint8_t*, size_t, uint32_t*, Pass& pass) { pass = {0, false, false, false, false}; }

}  // namespace sluice::scan

#endif
