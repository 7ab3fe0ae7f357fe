#include "results/board/resampling.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>

namespace assay::results {
namespace {

__extension__ using Wide = unsigned __int128;  // no standard type, but of every 64-bit compiler

constexpr std::size_t kWords = 64;

// Splits one word into `kBatch` numbers of 0 .. n - 1; false if the word must be drawn again, else
// some numbers would be likelier.
template <std::size_t kBatch>
bool split(std::uint64_t word, std::uint64_t n, std::uint64_t redrawn_below, std::uint32_t* out) {
  for (std::size_t k = 0; k < kBatch; ++k) {
    const Wide wide = static_cast<Wide>(word) * n;
    out[k] = static_cast<std::uint32_t>(wide >> 64);
    word = static_cast<std::uint64_t>(wide);
  }
  return word >= redrawn_below;
}

// split() of kWords words; false if one of them must be drawn again.
template <std::size_t kBatch>
bool split_all(const std::uint64_t* words, std::uint64_t n, std::uint64_t redrawn_below,
               std::uint32_t* out) {
  bool good = true;
  for (std::size_t w = 0; w < kWords; ++w) {
    good &= split<kBatch>(words[w], n, redrawn_below, out + w * kBatch);
  }
  return good;
}

#if defined(__x86_64__)
// One step of split() on four words: the numbers in the lower halves of the lanes; n < 2^32.
__attribute__((target("avx2"))) inline __m256i take_avx2(__m256i& words, __m256i n) {
  const __m256i low = _mm256_mul_epu32(words, n);
  const __m256i high = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(words, 32), n),
                                        _mm256_srli_epi64(low, 32));
  words = _mm256_blend_epi32(low, _mm256_slli_epi64(high, 32), 0b10101010);
  return _mm256_srli_epi64(high, 32);
}

__attribute__((target("avx2"))) inline __m256i take_two_avx2(__m256i& words, __m256i n) {
  const __m256i first = take_avx2(words, n);
  const __m256i second = take_avx2(words, n);
  return _mm256_or_si256(first, _mm256_slli_epi64(second, 32));
}

template <std::size_t kBatch>
__attribute__((target("avx2"))) bool split_all_avx2(const std::uint64_t* words, std::uint64_t n,
                                                    std::uint64_t redrawn_below,
                                                    std::uint32_t* out) {
  static_assert(kBatch == 2 || kBatch == 4);
  // Signed comparison is all that AVX2 has: flipping the top bit keeps the order.
  const __m256i top = _mm256_set1_epi64x(std::int64_t{1} << 63);
  const __m256i least =
      _mm256_xor_si256(_mm256_set1_epi64x(static_cast<std::int64_t>(redrawn_below)), top);
  const __m256i numbers = _mm256_set1_epi64x(static_cast<std::int64_t>(n));
  __m256i bad = _mm256_setzero_si256();
  auto* to = reinterpret_cast<__m256i*>(out);
  for (std::size_t w = 0; w < kWords; w += 4) {
    __m256i four = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + w));
    const __m256i pairs = take_two_avx2(four, numbers);
    if constexpr (kBatch == 2) {
      _mm256_storeu_si256(to++, pairs);
    } else {
      const __m256i others = take_two_avx2(four, numbers);
      const __m256i even = _mm256_unpacklo_epi64(pairs, others);  // of words 0 and 2
      const __m256i odd = _mm256_unpackhi_epi64(pairs, others);   // of words 1 and 3
      _mm256_storeu_si256(to++, _mm256_permute2x128_si256(even, odd, 0x20));
      _mm256_storeu_si256(to++, _mm256_permute2x128_si256(even, odd, 0x31));
    }
    bad = _mm256_or_si256(bad, _mm256_cmpgt_epi64(least, _mm256_xor_si256(four, top)));
  }
  return _mm256_testz_si256(bad, bad) != 0;
}
#endif

template <std::size_t kBatch>
void draw_batches(Philox& stream, std::uint64_t n, std::uint64_t redrawn_below,
                  std::span<std::uint32_t> indices) {
  auto* split_words = &split_all<kBatch>;
#if defined(__x86_64__)
  if constexpr (kBatch > 1) {
    if (__builtin_cpu_supports("avx2")) split_words = &split_all_avx2<kBatch>;
  }
#endif
  std::array<std::uint64_t, kWords> words;
  std::size_t at = 0;
  while (at < indices.size()) {
    stream.fill(words);
    // Nearly always all are good.
    if (indices.size() - at >= kWords * kBatch &&
        split_words(words.data(), n, redrawn_below, &indices[at])) {
      at += kWords * kBatch;
      continue;
    }
    for (std::size_t w = 0; w < kWords && at < indices.size(); ++w) {
      std::array<std::uint32_t, kBatch> drawn;
      if (!split<kBatch>(words[w], n, redrawn_below, drawn.data())) continue;
      for (std::size_t k = 0; k < kBatch && at < indices.size(); ++k) indices[at++] = drawn[k];
    }
  }
}

}  // namespace

void draw_samples(Philox& stream, std::uint64_t n, std::vector<std::uint32_t>& indices) {
  // Four or two from one word where that leaves redrawing rare.
  const std::uint64_t batch = n < (1U << 14) ? 4 : n < (1U << 28) ? 2 : 1;
  const std::uint64_t product = batch == 4 ? n * n * n * n : batch == 2 ? n * n : n;
  const std::uint64_t redrawn_below = (0 - product) % product;
  if (batch == 4) {
    draw_batches<4>(stream, n, redrawn_below, indices);
  } else if (batch == 2) {
    draw_batches<2>(stream, n, redrawn_below, indices);
  } else {
    draw_batches<1>(stream, n, redrawn_below, indices);
  }
}

double gathered(std::span<const double> values, const std::vector<std::uint32_t>& indices) {
  std::array<double, 4> parts{};  // independent sums keep the adder busy
  const std::size_t whole = indices.size() / 4 * 4;
  for (std::size_t i = 0; i < whole; i += 4) {
    for (std::size_t k = 0; k < 4; ++k) parts[k] += values[indices[i + k]];
  }
  for (std::size_t i = whole; i < indices.size(); ++i) parts[0] += values[indices[i]];
  return (parts[0] + parts[1]) + (parts[2] + parts[3]);
}

}  // namespace assay::results
