#include "datasets/resample.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace assay::datasets {
namespace {

// Bytes times weights must fit in 32 bits with a sign and one bit of overshoot.
constexpr int kFractionBits = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kFractionBits - 1);

double triangle(double x) {
  x = std::fabs(x);
  return x < 1 ? 1 - x : 0;
}

// Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -0.5.
double cubic(double x) {
  constexpr double kA = -0.5;
  x = std::fabs(x);
  if (x < 1) return ((kA + 2) * x - (kA + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * kA;
  return 0;
}

// Where the sources of one destination begin, and their weights.
struct Taps {
  std::int64_t begin = 0;
  std::vector<std::int32_t> weights;
};

std::vector<Taps> taps_for(std::int64_t from, std::int64_t to, Interpolation interpolation) {
  const bool is_cubic = interpolation == Interpolation::kBicubic;
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0);
  const double support = (is_cubic ? 2.0 : 1.0) * stretch;
  const double inverse = 1.0 / stretch;
  std::vector<Taps> taps(static_cast<std::size_t>(to));
  std::vector<double> weights;
  for (std::int64_t i = 0; i < to; ++i) {
    Taps& tap = taps[static_cast<std::size_t>(i)];
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    tap.begin = std::max<std::int64_t>(0, static_cast<std::int64_t>(centre - support + 0.5));
    const std::int64_t end = std::min(from, static_cast<std::int64_t>(centre + support + 0.5));
    double sum = 0;
    weights.clear();
    for (std::int64_t j = tap.begin; j < end; ++j) {
      const double x = (static_cast<double>(j) - centre + 0.5) * inverse;
      weights.push_back(is_cubic ? cubic(x) : triangle(x));
      sum += weights.back();
    }
    for (double weight : weights) {
      if (sum != 0) weight /= sum;
      const double fixed = weight * (1 << kFractionBits);
      tap.weights.push_back(static_cast<std::int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5));
    }
  }
  return taps;
}

std::uint8_t to_byte(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

// image: [planes, rows, from] -> [planes, rows, taps.size()].
at::Tensor along_rows(const at::Tensor& image, const std::vector<Taps>& taps) {
  const auto to = static_cast<std::int64_t>(taps.size());
  at::Tensor result = at::empty({image.size(0), image.size(1), to}, at::kByte);
  const std::int64_t from = image.size(2);
  const auto* source = image.const_data_ptr<std::uint8_t>();
  auto* target = result.mutable_data_ptr<std::uint8_t>();
  for (std::int64_t row = 0; row < image.size(0) * image.size(1); ++row) {
    for (const Taps& tap : taps) {
      const std::uint8_t* pixels = source + tap.begin;
      std::int32_t sum = kHalf;
      for (std::size_t j = 0; j < tap.weights.size(); ++j) sum += pixels[j] * tap.weights[j];
      *target++ = to_byte(sum);
    }
    source += from;
  }
  return result;
}

// image: [planes, from, columns] -> [planes, taps.size(), columns].
at::Tensor along_columns(const at::Tensor& image, const std::vector<Taps>& taps) {
  const std::int64_t columns = image.size(2);
  const auto to = static_cast<std::int64_t>(taps.size());
  at::Tensor result = at::empty({image.size(0), to, columns}, at::kByte);
  auto* target = result.mutable_data_ptr<std::uint8_t>();
  std::vector<std::int32_t> sums(static_cast<std::size_t>(columns));
  for (std::int64_t plane = 0; plane < image.size(0); ++plane) {
    const auto* source = image.const_data_ptr<std::uint8_t>() + plane * image.size(1) * columns;
    for (const Taps& tap : taps) {
      std::fill(sums.begin(), sums.end(), kHalf);
      const std::uint8_t* pixels = source + tap.begin * columns;
      for (const std::int32_t weight : tap.weights) {
        for (std::size_t x = 0; x < sums.size(); ++x) sums[x] += pixels[x] * weight;
        pixels += columns;
      }
      target = std::transform(sums.begin(), sums.end(), target, to_byte);
    }
  }
  return result;
}

}  // namespace

at::Tensor resample(const at::Tensor& image, std::int64_t height, std::int64_t width,
                    Interpolation interpolation) {
  at::Tensor result = image.contiguous();
  if (width != image.size(2)) {
    result = along_rows(result, taps_for(image.size(2), width, interpolation));
  }
  if (height != image.size(1)) {
    result = along_columns(result, taps_for(image.size(1), height, interpolation));
  }
  return result;
}

}  // namespace assay::datasets
