// Sixty-four bytes at a time: which of them equal a given byte. SSE2 on x86-64 and NEON on arm64 belong to the baseline of
// their platforms, so nothing is dispatched; elsewhere a plain loop serves.
// Used by scan/escapes.cc, sse/ and http/. Promises: reads exactly 64 bytes.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace sluice {

/// Sets numbers to -1. Written out because compilers turn a plain loop over a few hundred bytes into an instruction that takes
/// longer to start than the stores take.
inline void store_all_ones(int32_t* to, int32_t count) {
  int32_t i = 0;
#if defined(__SSE2__)
  for (; i + 4 <= count; i += 4) _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm_set1_epi32(-1));
#endif
  for (; i < count; i++) to[i] = -1;
}

/// Number of the lowest bit set; bits must not be 0.
inline unsigned lowest_bit(uint64_t bits) { return static_cast<unsigned>(__builtin_ctzll(bits)); }

#if defined(__SSE2__)

/// 64 bytes in registers.
class Block {
 public:
  explicit Block(const uint8_t* from) {
    for (int i = 0; i < 4; i++) part_[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + 16 * i));
  }

  /// Bit i is set when byte i is `byte`.
  uint64_t equal(uint8_t byte) const {
    const __m128i wanted = _mm_set1_epi8(static_cast<char>(byte));
    uint64_t bits = 0;
    for (int i = 0; i < 4; i++) {
      const auto mask = static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(part_[i], wanted)));
      bits |= static_cast<uint64_t>(mask) << (16 * i);
    }
    return bits;
  }

  /// True when some byte is `byte`.
  bool holds(uint8_t byte) const {
    const __m128i wanted = _mm_set1_epi8(static_cast<char>(byte));
    __m128i found = _mm_setzero_si128();
    for (int i = 0; i < 4; i++) found = _mm_or_si128(found, _mm_cmpeq_epi8(part_[i], wanted));
    return _mm_movemask_epi8(found) != 0;
  }

  /// True when some byte is one of three.
  bool holds_any(uint8_t a, uint8_t b, uint8_t c) const {
    const __m128i wanted_a = _mm_set1_epi8(static_cast<char>(a));
    const __m128i wanted_b = _mm_set1_epi8(static_cast<char>(b));
    const __m128i wanted_c = _mm_set1_epi8(static_cast<char>(c));
    __m128i found = _mm_setzero_si128();
    for (int i = 0; i < 4; i++) {
      const __m128i ab = _mm_or_si128(_mm_cmpeq_epi8(part_[i], wanted_a), _mm_cmpeq_epi8(part_[i], wanted_b));
      found = _mm_or_si128(found, _mm_or_si128(ab, _mm_cmpeq_epi8(part_[i], wanted_c)));
    }
    return _mm_movemask_epi8(found) != 0;
  }

 private:
  __m128i part_[4];
};

#elif defined(__aarch64__)

/// 64 bytes in registers.
class Block {
 public:
  explicit Block(const uint8_t* from) {
    for (int i = 0; i < 4; i++) part_[i] = vld1q_u8(from + 16 * i);
  }

  /// Bit i is set when byte i is `byte`.
  uint64_t equal(uint8_t byte) const {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weight = vld1q_u8(weights);
    const uint8x16_t wanted = vdupq_n_u8(byte);
    uint8x16_t hit[4];
    for (int i = 0; i < 4; i++) hit[i] = vandq_u8(vceqq_u8(part_[i], wanted), weight);
    const uint8x16_t sums = vpaddq_u8(vpaddq_u8(hit[0], hit[1]), vpaddq_u8(hit[2], hit[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
  }

  /// True when some byte is `byte`.
  bool holds(uint8_t byte) const { return holds_any(byte, byte, byte); }

  /// True when some byte is one of three.
  bool holds_any(uint8_t a, uint8_t b, uint8_t c) const {
    uint8x16_t found = vdupq_n_u8(0);
    for (int i = 0; i < 4; i++) {
      const uint8x16_t ab = vorrq_u8(vceqq_u8(part_[i], vdupq_n_u8(a)), vceqq_u8(part_[i], vdupq_n_u8(b)));
      found = vorrq_u8(found, vorrq_u8(ab, vceqq_u8(part_[i], vdupq_n_u8(c))));
    }
    return vmaxvq_u8(found) != 0;
  }

 private:
  uint8x16_t part_[4];
};

#else

/// 64 bytes in memory.
class Block {
 public:
  explicit Block(const uint8_t* from) : from_(from) {}

  /// Bit i is set when byte i is `byte`.
  uint64_t equal(uint8_t byte) const {
    uint64_t bits = 0;
    for (int i = 0; i < 64; i++) bits |= static_cast<uint64_t>(from_[i] == byte) << i;
    return bits;
  }

  /// True when some byte is `byte`.
  bool holds(uint8_t byte) const { return equal(byte) != 0; }

  /// True when some byte is one of three.
  bool holds_any(uint8_t a, uint8_t b, uint8_t c) const { return (equal(a) | equal(b) | equal(c)) != 0; }

 private:
  const uint8_t* from_;
};

#endif

}  // namespace sluice
