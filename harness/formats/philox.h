#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace assay {

// Philox4x32-10, a counter-based generator: the n-th block is a function of counter and key alone.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                        std::array<std::uint32_t, 2> key);

// A stream of random numbers named by (seed, stream name, index): the same name gives the same
// numbers whatever ran before, on whichever slot. The key is the head of SHA-256(seed, name), the
// upper half of the counter is the index, the lower half counts blocks of four words. A value type;
// one thread uses it at a time.
class Philox {
 public:
  Philox(std::uint64_t seed, std::string_view stream, std::uint64_t index = 0);

  std::uint32_t next();    // 32 uniform bits
  std::uint64_t next64();  // 64 uniform bits, the low word drawn first
  void fill(
      std::span<std::uint64_t> words);  // what next64() would give one after the other, faster

  double uniform();                         // [0, 1), 53 bits
  double uniform(double low, double high);  // [low, high)
  double normal();                          // mean 0, deviation 1 (Box-Muller, both values used)
  std::uint64_t below(std::uint64_t n);  // 0 .. n - 1 without bias; throws Error(kConfig) if n = 0

  // 0 .. n - 1 in random order (Fisher-Yates from the end).
  std::vector<std::int64_t> permutation(std::int64_t n);

 private:
  void fill_blocks(std::span<std::uint64_t> words);

  std::array<std::uint32_t, 2> key_{};
  std::array<std::uint32_t, 4> counter_{};
  std::array<std::uint32_t, 4> block_{};
  unsigned used_ = 4;  // words of `block_` that are spent
  double spare_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace assay
