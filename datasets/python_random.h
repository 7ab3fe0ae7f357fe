#pragma once

#include <array>
#include <cstdint>

namespace assay::datasets {

// Python's random.seed(seed) and randint(a, b), to draw the calibration samples that published
// codes drew: MT19937 initialised by the array method (Matsumoto and Nishimura 1998, mt19937ar)
// with the 32-bit words of |seed|, and rejection of draws outside the range.
class PythonRandom {
 public:
  explicit PythonRandom(std::int64_t seed);

  std::uint32_t next32();

  // a .. b, both included. Throws Error(kConfig) if b < a or the range has more than 2^32 - 1
  // values.
  std::int64_t randint(std::int64_t a, std::int64_t b);

 private:
  static constexpr std::size_t kWords = 624;
  void refill();

  std::array<std::uint32_t, kWords> state_{};
  std::size_t used_ = kWords;
};

}  // namespace assay::datasets
