#include "datasets/python_random.h"

#include <fmt/format.h>

#include <bit>
#include <vector>

#include "harness/base/error.h"

namespace assay::datasets {

PythonRandom::PythonRandom(std::int64_t seed) {
  const std::uint64_t magnitude =
      seed < 0 ? ~static_cast<std::uint64_t>(seed) + 1 : static_cast<std::uint64_t>(seed);
  std::vector<std::uint32_t> key = {static_cast<std::uint32_t>(magnitude)};
  if (magnitude >> 32 != 0) {
    key.push_back(static_cast<std::uint32_t>(magnitude >> 32));
  }
  state_[0] = 19650218u;
  for (std::uint32_t i = 1; i < kWords; ++i) {
    state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
  }
  std::size_t i = 1;
  const auto step = [&] {
    if (++i == kWords) {
      state_[0] = state_[kWords - 1];
      i = 1;
    }
  };
  std::size_t j = 0;
  for (std::size_t k = 0; k < kWords; ++k) {  // kWords > key.size() always
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                static_cast<std::uint32_t>(j);
    j = j + 1 == key.size() ? 0 : j + 1;
    step();
  }
  for (std::size_t k = 1; k < kWords; ++k) {
    state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                static_cast<std::uint32_t>(i);
    step();
  }
  state_[0] = 0x80000000u;
}

void PythonRandom::refill() {
  constexpr std::size_t kShift = 397;
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kWords] & 0x7FFFFFFFu);
    state_[i] = state_[(i + kShift) % kWords] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908B0DFu : 0u);
  }
  used_ = 0;
}

std::uint32_t PythonRandom::next32() {
  if (used_ == kWords) {
    refill();
  }
  std::uint32_t y = state_[used_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9D2C5680u;
  y ^= (y << 15) & 0xEFC60000u;
  return y ^ (y >> 18);
}

std::int64_t PythonRandom::randint(std::int64_t a, std::int64_t b) {
  const std::uint64_t width = static_cast<std::uint64_t>(b) - static_cast<std::uint64_t>(a) + 1;
  if (b < a || width == 0 || width > 0xFFFFFFFFu) {
    throw Error(ErrorKind::kConfig,
                fmt::format("randint({}, {}): legal are 1 to 2^32 - 1 values", a, b));
  }
  const int bits = static_cast<int>(std::bit_width(width));
  std::uint64_t draw = 0;
  do {
    draw = next32() >> (32 - bits);
  } while (draw >= width);
  return a + static_cast<std::int64_t>(draw);
}

}  // namespace assay::datasets
