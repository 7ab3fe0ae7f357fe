#include "harness/formats/philox.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <numeric>
#include <string>
#include <utility>

#include "harness/base/digest.h"
#include "harness/base/error.h"

namespace assay {

std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {
        static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(b),
        static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Philox::Philox(std::uint64_t seed, std::string_view stream, std::uint64_t index) {
  std::string name;
  for (int byte = 0; byte < 8; ++byte) name.push_back(static_cast<char>(seed >> (8 * byte)));
  name.append(stream);
  const std::string digest = sha256(name);
  key_ = {static_cast<std::uint32_t>(std::stoul(digest.substr(0, 8), nullptr, 16)),
          static_cast<std::uint32_t>(std::stoul(digest.substr(8, 8), nullptr, 16))};
  counter_[2] = static_cast<std::uint32_t>(index);
  counter_[3] = static_cast<std::uint32_t>(index >> 32);
}

std::uint32_t Philox::next() {
  if (used_ == 4) {
    block_ = philox4x32(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[used_++];
}

std::uint64_t Philox::next64() {
  const std::uint64_t low = next();
  return low | (std::uint64_t{next()} << 32);
}

namespace {

constexpr std::size_t kLanes = 16;              // blocks computed side by side
constexpr std::size_t kLaneWords = 2 * kLanes;  // of 64 bits in them

// Blocks first .. first + kLanes - 1 at once: their rounds do not wait for each other, and the
// compiler makes vectors of them. `counter` are its upper two words.
inline __attribute__((always_inline)) void make_blocks(std::uint64_t first,
                                                       std::array<std::uint32_t, 2> counter,
                                                       std::array<std::uint32_t, 2> key,
                                                       std::uint64_t* words) {
  std::array<std::array<std::uint32_t, kLanes>, 4> c;
  for (std::size_t l = 0; l < kLanes; ++l) {
    c[0][l] = static_cast<std::uint32_t>(first + l);
    c[1][l] = static_cast<std::uint32_t>((first + l) >> 32);
    c[2][l] = counter[0];
    c[3][l] = counter[1];
  }
  for (int round = 0; round < 10; ++round) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      const std::uint64_t a = std::uint64_t{0xD2511F53} * c[0][l];
      const std::uint64_t b = std::uint64_t{0xCD9E8D57} * c[2][l];
      c[0][l] = static_cast<std::uint32_t>(b >> 32) ^ c[1][l] ^ key[0];
      c[1][l] = static_cast<std::uint32_t>(b);
      c[2][l] = static_cast<std::uint32_t>(a >> 32) ^ c[3][l] ^ key[1];
      c[3][l] = static_cast<std::uint32_t>(a);
    }
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  for (std::size_t l = 0; l < kLanes; ++l) {
    words[2 * l] = c[0][l] | std::uint64_t{c[1][l]} << 32;
    words[2 * l + 1] = c[2][l] | std::uint64_t{c[3][l]} << 32;
  }
}

#if defined(__x86_64__)
// Four blocks in the 64-bit lanes of each vector, whose upper halves hold leftovers: a product
// reads the lower halves alone.
struct BlocksAvx2 {
  __m256i c0, c1, c2, c3;
};

__attribute__((target("avx2"))) inline BlocksAvx2 counters_avx2(
    std::uint64_t first, std::array<std::uint32_t, 2> upper) {
  const __m256i number = _mm256_add_epi64(_mm256_set1_epi64x(static_cast<long long>(first)),
                                          _mm256_set_epi64x(3, 2, 1, 0));
  return {number, _mm256_srli_epi64(number, 32), _mm256_set1_epi64x(upper[0]),
          _mm256_set1_epi64x(upper[1])};
}

__attribute__((target("avx2"))) inline void round_avx2(BlocksAvx2& blocks, __m256i key0,
                                                       __m256i key1) {
  const __m256i a = _mm256_mul_epu32(blocks.c0, _mm256_set1_epi64x(0xD2511F53));
  const __m256i b = _mm256_mul_epu32(blocks.c2, _mm256_set1_epi64x(0xCD9E8D57));
  blocks.c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(b, 32), blocks.c1), key0);
  blocks.c1 = b;
  blocks.c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(a, 32), blocks.c3), key1);
  blocks.c3 = a;
}

__attribute__((target("avx2"))) inline void store_avx2(const BlocksAvx2& blocks,
                                                       std::uint64_t* words) {
  constexpr int kUpper = 0b10101010;  // the upper half of each lane
  const __m256i even = _mm256_blend_epi32(blocks.c0, _mm256_slli_epi64(blocks.c1, 32), kUpper);
  const __m256i odd = _mm256_blend_epi32(blocks.c2, _mm256_slli_epi64(blocks.c3, 32), kUpper);
  const __m256i low = _mm256_unpacklo_epi64(even, odd);   // blocks 0 and 2
  const __m256i high = _mm256_unpackhi_epi64(even, odd);  // blocks 1 and 3
  auto* const out = reinterpret_cast<__m256i*>(words);
  _mm256_storeu_si256(out, _mm256_permute2x128_si256(low, high, 0x20));
  _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(low, high, 0x31));
}

__attribute__((target("avx2"))) void make_blocks_avx2(std::uint64_t first,
                                                      std::array<std::uint32_t, 2> upper,
                                                      std::array<std::uint32_t, 2> key,
                                                      std::uint64_t* words) {
  constexpr std::size_t kVectors = kLanes / 4;
  std::array<BlocksAvx2, kVectors> blocks;
  for (std::size_t v = 0; v < kVectors; ++v) blocks[v] = counters_avx2(first + 4 * v, upper);
  for (int round = 0; round < 10; ++round) {
    const __m256i key0 = _mm256_set1_epi64x(key[0]);
    const __m256i key1 = _mm256_set1_epi64x(key[1]);
    for (BlocksAvx2& each : blocks) round_avx2(each, key0, key1);
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  for (std::size_t v = 0; v < kVectors; ++v) store_avx2(blocks[v], words + 8 * v);
}
#endif

}  // namespace

void Philox::fill_blocks(std::span<std::uint64_t> words) {
  const std::uint64_t first = counter_[0] | std::uint64_t{counter_[1]} << 32;
  const std::array<std::uint32_t, 2> upper = {counter_[2], counter_[3]};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    make_blocks_avx2(first, upper, key_, words.data());
  } else {
    make_blocks(first, upper, key_, words.data());
  }
#else
  make_blocks(first, upper, key_, words.data());
#endif
  counter_[0] = static_cast<std::uint32_t>(first + kLanes);
  counter_[1] = static_cast<std::uint32_t>((first + kLanes) >> 32);
}

void Philox::fill(std::span<std::uint64_t> words) {
  std::size_t at = 0;
  while (at < words.size()) {
    if (used_ == 4 && words.size() - at >= kLaneWords) {
      fill_blocks(words.subspan(at, kLaneWords));
      at += kLaneWords;
    } else {
      words[at++] = next64();
    }
  }
}

double Philox::uniform() { return static_cast<double>(next64() >> 11) * 0x1p-53; }

double Philox::uniform(double low, double high) { return low + (high - low) * uniform(); }

double Philox::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  // 1 - u lies in (0, 1], so the logarithm is finite.
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

std::uint64_t Philox::below(std::uint64_t n) {
  if (n == 0) throw Error(ErrorKind::kConfig, "cannot draw a number below 0");
  // Values past the largest multiple of n are drawn again, else small results would be likelier.
  const std::uint64_t excess = (std::numeric_limits<std::uint64_t>::max() % n + 1) % n;
  const std::uint64_t last = std::numeric_limits<std::uint64_t>::max() - excess;
  std::uint64_t value = next64();
  while (value > last) value = next64();
  return value % n;
}

std::vector<std::int64_t> Philox::permutation(std::int64_t n) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<std::size_t>(below(i))]);
  return order;
}

}  // namespace assay
