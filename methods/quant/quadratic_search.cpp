#include "methods/quant/quadratic_search.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "harness/base/error.h"
#include "methods/quant/rounding_error.h"

namespace assay::quant {
namespace {

constexpr std::int64_t kFirstBatch = 20;   // pairs of a row, spread over all of them
constexpr std::int64_t kValues = 4 << 20;  // of the errors that are at hand
constexpr std::int64_t kFirstStrip = 16;   // columns of e F; every further strip is twice as wide
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Best {
  at::Tensor score;  // [rows]
  at::Tensor pair;   // int64 [rows]
};

// Sums of squares of e F by row of `errors`, infinite for those that exceed `bound`.
at::Tensor bounded_scores(at::Tensor errors, at::Tensor bound, const at::Tensor& factor) {
  at::Tensor scores = at::full({errors.size(0)}, kInfinity, errors.options());
  at::Tensor rows = at::arange(errors.size(0), bound.options().dtype(at::kLong));
  at::Tensor sum = at::zeros({errors.size(0)}, errors.options());
  const std::int64_t columns = factor.size(1);
  std::int64_t width = kFirstStrip;
  for (std::int64_t begin = 0; begin < columns; begin += width, width *= 2) {
    const std::int64_t count = std::min(width, columns - begin);
    sum += at::mm(errors, factor.narrow(1, begin, count)).square_().sum(1);
    const at::Tensor kept = sum.le(bound).nonzero().squeeze(1);  // NaN is left, too
    if (kept.size(0) == 0) return scores;
    if (kept.size(0) == rows.size(0)) continue;
    rows = rows.index_select(0, kept);
    sum = sum.index_select(0, kept);
    bound = bound.index_select(0, kept);
    errors = errors.index_select(0, kept);
  }
  return scores.index_copy_(0, rows, sum);
}

void try_pairs(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
               double qmax, const at::Tensor& factor, const at::Tensor& pairs, Best& best) {
  const std::int64_t rows = weight.size(0), count = pairs.size(0);
  const at::Tensor errors =
      rounding_errors(weight, scale.index_select(1, pairs), zero.index_select(1, pairs), qmax);
  const at::Tensor bound = best.score.unsqueeze(1).expand({rows, count}).reshape({-1});
  const at::Tensor scores = bounded_scores(errors.reshape({rows * count, -1}), bound, factor);
  const auto [least, index] = scores.reshape({rows, count}).min(1);
  const at::Tensor pair = pairs.index_select(0, index);
  const at::Tensor better =
      least.lt(best.score).logical_or(least.eq(best.score).logical_and(pair.lt(best.pair)));
  best.score = at::where(better, least, best.score);
  best.pair = at::where(better, pair, best.pair);
}

// Batches of pairs, each spread over all: the first ones small, so that the others meet a bound.
std::vector<at::Tensor> batches_of(std::int64_t pairs, std::int64_t most,
                                   const at::Device& device) {
  at::Tensor rest = at::arange(pairs, at::TensorOptions(at::kLong).device(device));
  std::vector<at::Tensor> batches;
  for (const std::int64_t few : {kFirstBatch / 5, kFirstBatch}) {
    const std::int64_t spread = (rest.size(0) + few - 1) / few;
    if (spread <= 1) break;
    batches.push_back(rest.slice(0, 0, rest.size(0), spread));
    const at::Tensor place = at::arange(rest.size(0), rest.options());
    rest = rest.masked_select(place.remainder(spread).ne(0));
  }
  const std::int64_t parts = (rest.size(0) + most - 1) / most;
  for (std::int64_t part = 0; part < parts; ++part) {
    batches.push_back(rest.slice(0, part, rest.size(0), parts));
  }
  return batches;
}

}  // namespace

at::Tensor energy_factor(const at::Tensor& moments) {
  if (!moments.isfinite().all().item<bool>()) {
    throw Error(ErrorKind::kMethod, "the second moments hold NaN or infinities");
  }
  auto [values, vectors] = at::linalg_eigh(moments.to(at::kDouble));
  const at::Tensor roots = values.clamp_min(0).sqrt_();
  return at::flip(vectors.mul_(roots.unsqueeze(-2)), {-1}).to(moments.scalar_type());
}

at::Tensor least_errors(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                        double qmax, const at::Tensor& factor) {
  const std::int64_t rows = weight.size(0), columns = weight.size(1), pairs = scale.size(1);
  if (rows == 0) return at::empty({0}, weight.options().dtype(at::kLong));
  std::vector<at::Tensor> found;
  const std::int64_t most_rows =
      std::max<std::int64_t>(1, kValues / std::max<std::int64_t>(1, kFirstBatch * columns));
  for (std::int64_t begin = 0; begin < rows; begin += most_rows) {
    const std::int64_t count = std::min(most_rows, rows - begin);
    const std::int64_t most_pairs = std::max(kFirstBatch, kValues / (count * columns));
    Best best{at::full({count}, kInfinity, weight.options()),
              at::full({count}, -1, weight.options().dtype(at::kLong))};
    for (const at::Tensor& batch : batches_of(pairs, most_pairs, weight.device())) {
      try_pairs(weight.narrow(0, begin, count), scale.narrow(0, begin, count),
                zero.narrow(0, begin, count), qmax, factor, batch, best);
    }
    found.push_back(best.pair);
  }
  return at::cat(found);
}

}  // namespace assay::quant
