#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <thread>
#include <vector>

#include "harness/formats/philox.h"

// What bootstraps are made of: fast draws with replacement, sums over them, and threads.

namespace assay::results {

// The stream of random numbers of resample `index`.
inline Philox resample_stream(std::uint64_t seed, std::uint64_t index) {
  return {seed, "paired bootstrap", index};
}

// Draws `indices.size()` numbers of 0 .. n - 1, without bias.
// n from 1 to 2^32. Several come from one 64-bit word where n is small enough.
// Source: Brackett-Rozinsky and Lemire, "Batched ranged random integer generation", 2024.
void draw_samples(Philox& stream, std::uint64_t n, std::vector<std::uint32_t>& indices);

// The sum of values[i] over the indices.
double gathered(std::span<const double> values, const std::vector<std::uint32_t>& indices);

// Calls part(from, to, reports) for parts of 0 .. count - 1 on as many threads as pay; the last
// part runs on this one and may report. `cost`: additions of one call.
template <typename Part>
void in_parts(int count, std::size_t cost, const Part& part) {
  constexpr double kWorthThread = 2e6;
  const double work = static_cast<double>(count) * static_cast<double>(cost);
  const unsigned cores = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  const int threads = static_cast<int>(std::min<double>(cores, 1 + work / kWorthThread));
  std::vector<std::jthread> others;
  for (int t = 0; t < threads; ++t) {
    const auto bound = [&](int i) {
      return static_cast<int>(static_cast<std::int64_t>(count) * i / threads);
    };
    const int from = bound(t), to = bound(t + 1);
    if (t + 1 < threads) {
      others.emplace_back([&part, from, to] { part(from, to, false); });
    } else {
      part(from, to, true);
    }
  }
}

}  // namespace assay::results
