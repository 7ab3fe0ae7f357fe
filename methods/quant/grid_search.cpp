#include "methods/quant/grid_search.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "methods/quant/quadratic_search.h"
#include "methods/quant/quantile.h"
#include "methods/quant/rounding_error.h"

namespace assay::quant {
namespace {

constexpr double kMseExponent = 2.4;
constexpr int kShrinks = 100;
constexpr double kNarrowestFree = 1e-5;
constexpr double kFloat32Epsilon = 1.1920928955078125e-07;

struct Ends {
  at::Tensor low, high;  // [.., rows, 1]; low <= 0 <= high, never both 0
};

struct Pairs {
  at::Tensor scale, zero;  // [.., rows, 1]
};

Ends ends_of(const at::Tensor& rows, const GridOptions& options) {
  at::Tensor low, high;
  if (options.search == RangeSearch::kPercentile) {
    low = quant::quantile(rows, 1 - options.percentile);
    high = quant::quantile(rows, options.percentile);
  } else {
    low = rows.amin({-1}, true);
    high = rows.amax({-1}, true);
  }
  low = low.clamp_max(0);
  high = high.clamp_min(0);
  if (options.symmetric) {
    high = at::maximum(-low, high);
    low = options.mirror_positive ? -high : at::where(low < 0, -high, low);
  }
  // Also covers ranges so small that the scale underflows to 0.
  const at::Tensor empty = (high - low) / ((std::int64_t{1} << options.bits) - 1) == 0;
  return {at::where(empty, -at::ones_like(low), low), at::where(empty, at::ones_like(high), high)};
}

at::Tensor middle(const at::Tensor& like, int bits) {
  return at::full_like(like, static_cast<double>(std::int64_t{1} << (bits - 1)));
}

// One score a row, [.., rows, 1].
at::Tensor score(const at::Tensor& rows, const Pairs& pairs, const GridOptions& options) {
  const auto qmax = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  return rounding_error(rows, pairs.scale, pairs.zero, qmax).abs().pow(kMseExponent).sum(-1, true);
}

std::vector<at::Tensor> zero_candidates(const at::Tensor& exact, const GridOptions& options) {
  if (options.symmetric) return {middle(exact, options.bits)};
  if (options.search == RangeSearch::kMseGptq) return {at::round(exact)};
  // Without positive weights it is the highest code, which the division may miss by an ulp.
  const auto highest = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  return {at::floor(exact), at::ceil(exact).clamp_max(highest)};
}

// What stands if no score is finite.
Pairs unsearched(const Ends& ends, const GridOptions& options) {
  const auto qmax = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  const at::Tensor scale = (ends.high - ends.low) / qmax;
  return {scale, options.symmetric ? middle(scale, options.bits) : at::round(-ends.low / scale)};
}

// 1 - i/100 in double, cast once to the working type.
at::Tensor shrinks(int count, const at::Tensor& like) {
  std::vector<double> values;
  for (int i = 0; i < count; ++i) values.push_back(1.0 - i / 100.0);
  return at::tensor(values, at::kDouble).to(like.options());
}

Pairs search_rows(const at::Tensor& rows, const Ends& ends, const GridOptions& options) {
  const auto qmax = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  Pairs best = unsearched(ends, options);
  at::Tensor best_score = at::full_like(best.scale, std::numeric_limits<double>::infinity());
  const int candidates = options.search == RangeSearch::kMseGptq ? 80 : kShrinks;
  for (const at::Tensor& shrink : shrinks(candidates, ends.low).unbind()) {
    const at::Tensor low = ends.low * shrink;
    const at::Tensor scale = (ends.high * shrink - low) / qmax;
    for (const at::Tensor& zero : zero_candidates(-low / scale, options)) {
      const at::Tensor candidate = score(rows, {scale, zero}, options);
      const at::Tensor better = candidate < best_score;
      best_score = at::where(better, candidate, best_score);
      best.scale = at::where(better, scale, best.scale);
      best.zero = at::where(better, zero, best.zero);
    }
  }
  return best;
}

// rows [.., rows, columns], factor [.. or 1, columns, columns].
Pairs search_by_moments(const at::Tensor& rows, const Ends& ends, const GridOptions& options,
                        const at::Tensor& factor) {
  const auto qmax = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  const at::Tensor shrink = shrinks(kShrinks, ends.low);
  const at::Tensor low = ends.low * shrink;  // [.., rows, shrinks]
  const at::Tensor scale = (ends.high * shrink - low) / qmax;
  const std::vector<at::Tensor> zeros = zero_candidates(-low / scale, options);
  const auto each = static_cast<std::int64_t>(zeros.size());
  const Pairs all{scale.repeat_interleave(each, -1), at::stack(zeros, -1).flatten(-2)};

  const std::int64_t matrices = factor.dim() == 2 ? 1 : factor.size(0), columns = rows.size(-1);
  const at::Tensor factors = factor.reshape({matrices, columns, columns});
  const auto part = [&](const at::Tensor& x, std::int64_t i) {
    return x.reshape({matrices, -1, x.size(-1)})[i];
  };
  std::vector<at::Tensor> found;
  for (std::int64_t i = 0; i < matrices; ++i) {
    found.push_back(
        least_errors(part(rows, i), part(all.scale, i), part(all.zero, i), qmax, factors[i]));
  }
  const at::Tensor index = at::cat(found).reshape(ends.low.sizes()), least = index.clamp_min(0);
  const Pairs plain = unsearched(ends, options);
  return {at::where(index < 0, plain.scale, all.scale.gather(-1, least)),
          at::where(index < 0, plain.zero, all.zero.gather(-1, least))};
}

Pairs free_pairs(const at::Tensor& rows, const GridOptions& options) {
  const auto qmax = static_cast<double>((std::int64_t{1} << options.bits) - 1);
  const at::Tensor low = rows.amin({-1}, true), high = rows.amax({-1}, true);
  const at::Tensor scale = (high - low).clamp_min(kNarrowestFree) / qmax;
  // Subtracted from 0, not negated: no zero point is -0.
  return {scale, at::clamp(0.0 - at::round(low / scale), 0, qmax)};
}

Pairs pairs_of(const at::Tensor& rows, const GridOptions& options, const at::Tensor& factor) {
  if (options.search == RangeSearch::kFree) return free_pairs(rows, options);
  const Ends ends = ends_of(rows, options);
  switch (options.search) {
    case RangeSearch::kHessian:
      return search_by_moments(rows, ends, options, factor);
    case RangeSearch::kMse:
    case RangeSearch::kMseGptq:
      return search_rows(rows, ends, options);
    default:
      return unsearched(ends, options);
  }
}

void check(const at::Tensor& weight, const GridOptions& options, bool moments) {
  if (options.bits < 1 || options.bits > 16) {
    throw Error(ErrorKind::kConfig,
                fmt::format("a weight grid of {} bits: expected 1 to 16", options.bits));
  }
  if (options.symmetric && options.bits == 1) {
    throw Error(ErrorKind::kUnsupported,
                "a symmetric weight grid of 1 bit has the values -m and 0 and rounds every weight "
                "to 0; use at least 2 bits, or symmetric: false");
  }
  if (options.symmetric && options.search == RangeSearch::kFree) {
    throw Error(ErrorKind::kConfig,
                "the free range has its zero point where the weights put it: "
                "take another range search, or symmetric: false");
  }
  if (options.granularity == Granularity::kGroup && options.group < 1) {
    throw Error(ErrorKind::kConfig, fmt::format("group = {}: granularity 'group' needs at least 1 "
                                                "input column a group",
                                                options.group));
  }
  if (options.search == RangeSearch::kPercentile) require_percentile(options.percentile);
  if (options.search == RangeSearch::kHessian &&
      (!moments || options.granularity == Granularity::kTensor)) {
    throw Error(ErrorKind::kConfig,
                "the hessian range search needs second moments of the inputs and one grid a row");
  }
  if (!weight.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::kMethod, "the weight holds NaN or infinities");
  }
}

}  // namespace

void require_percentile(double percentile) {
  if (percentile > 0.5 && percentile <= 1) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("percentile = {}: expected more than 0.5, at most 1", percentile));
}

SearchFactors search_factors(const at::Tensor& moments, const GridOptions& options) {
  if (options.search != RangeSearch::kHessian || !moments.defined()) return {};
  if (options.granularity != Granularity::kGroup) return {{energy_factor(moments)}};
  SearchFactors factors;
  for (std::int64_t begin = 0; begin < moments.size(-1); begin += options.group) {
    const std::int64_t width = std::min(options.group, moments.size(-1) - begin);
    factors.of_group.push_back(
        energy_factor(moments.narrow(-2, begin, width).narrow(-1, begin, width)));
  }
  return factors;
}

Grid find_grid(const at::Tensor& weight, const GridOptions& options, const at::Tensor& moments) {
  check(weight, options, moments.defined());
  return find_grid(weight, options, search_factors(moments, options));
}

Grid find_grid(const at::Tensor& weight, const GridOptions& options, const SearchFactors& factors) {
  check(weight, options, !factors.of_group.empty());
  Grid grid{.bits = options.bits, .symmetric = options.symmetric};
  const auto factor = [&](std::size_t group) {
    return factors.of_group.empty() ? at::Tensor() : factors.of_group.at(group);
  };
  if (options.granularity != Granularity::kGroup) {
    const bool whole = options.granularity == Granularity::kTensor;
    const Pairs pairs = pairs_of(whole ? weight.reshape({1, -1}) : weight, options, factor(0));
    grid.scale = pairs.scale;
    grid.zero = pairs.zero;
    return grid;
  }
  grid.group = options.group;
  std::vector<at::Tensor> scales, zeros;
  for (std::int64_t begin = 0; begin < weight.size(-1); begin += options.group) {
    const std::int64_t width = std::min(options.group, weight.size(-1) - begin);
    const Pairs pairs = pairs_of(weight.narrow(-1, begin, width), options, factor(scales.size()));
    scales.push_back(pairs.scale);
    zeros.push_back(pairs.zero);
  }
  grid.scale = at::cat(scales, -1);
  grid.zero = at::cat(zeros, -1);
  return grid;
}

Grid absmax_grid(const at::Tensor& weight, int bits, Granularity granularity) {
  check(weight, {.bits = bits, .symmetric = true}, false);
  const at::Tensor size = weight.abs();
  const at::Tensor largest =
      granularity == Granularity::kTensor ? size.amax().reshape({1, 1}) : size.amax({-1}, true);
  Grid grid{.bits = bits, .symmetric = true};
  const auto positive = static_cast<double>((std::int64_t{1} << (bits - 1)) - 1);
  grid.scale = largest.clamp_min(1e-5) / positive;
  grid.zero = middle(grid.scale, bits);
  return grid;
}

Grid p1_weight_grid(const at::Tensor& weight, int bits) {
  check(weight, {.bits = bits, .symmetric = true}, false);
  const double half_range = static_cast<double>((std::int64_t{1} << bits) - 1) / 2;
  Grid grid{.bits = bits, .symmetric = true};
  grid.scale = (weight.abs().amax({-1}, true) / half_range).clamp_min(kFloat32Epsilon);
  grid.zero = middle(grid.scale, bits);
  return grid;
}

}  // namespace assay::quant
