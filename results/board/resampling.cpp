#include "results/board/resampling.h"

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

template <std::size_t kBatch>
void draw_batches(Philox& stream, std::uint64_t n, std::uint64_t redrawn_below,
                  std::span<std::uint32_t> indices) {
  std::array<std::uint64_t, kWords> words;
  std::size_t at = 0;
  while (at < indices.size()) {
    stream.fill(words);
    if (indices.size() - at >= kWords * kBatch) {  // nearly always all are good: no branch inside
      bool good = true;
      for (std::size_t w = 0; w < kWords; ++w) {
        good &= split<kBatch>(words[w], n, redrawn_below, &indices[at + w * kBatch]);
      }
      if (good) {
        at += kWords * kBatch;
        continue;
      }
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
