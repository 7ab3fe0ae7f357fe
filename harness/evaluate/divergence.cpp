#include "harness/evaluate/divergence.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>

#include "harness/base/error.h"
#include "harness/base/quantile.h"

namespace assay::evaluate {
namespace {

// Rows that are widened to float64 together: what a large vocabulary costs in memory follows it.
constexpr std::int64_t kRows = 64;
constexpr std::int64_t kTenths = 10;

// The log-probabilities of rows of logits, in float64.
at::Tensor log_probabilities(const at::Tensor& logits) {
  const bool wide = logits.scalar_type() == at::kDouble;
  return at::log_softmax(logits.to(wide ? at::kDouble : at::kFloat), 1).to(at::kDouble);
}

PositionDivergence divergence_of_rows(const at::Tensor& p, const at::Tensor& q,
                                      const at::Tensor& targets) {
  const at::Tensor log_p = log_probabilities(p);
  const at::Tensor log_q = log_probabilities(q);
  const at::Tensor probability = log_p.exp();
  const at::Tensor at = targets.unsqueeze(1);
  const at::Tensor log_p_at = log_p.gather(1, at).squeeze(1);
  const at::Tensor log_q_at = log_q.gather(1, at).squeeze(1);
  return {.kld = (probability * (log_p - log_q)).sum(1),
          .entropy = -(probability * log_p).sum(1),
          .delta_p = log_p_at.exp() - log_q_at.exp(),
          .ln_ratio = log_p_at - log_q_at,
          .same_top = p.argmax(1).eq(q.argmax(1)).to(at::kByte)};
}

template <typename T>
std::span<const T> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<T>(), static_cast<std::size_t>(tensor.numel())};
}

double sum_of(const at::Tensor& values) {
  const std::span<const double> all = values_of<double>(values);
  return std::accumulate(all.begin(), all.end(), 0.0);
}

// Sums over the positions of each tenth.
class Tenths {
 public:
  void add(std::int64_t tenth, double kld, double entropy) {
    Sum& sum = sums_[static_cast<std::size_t>(tenth)];
    ++sum.positions;
    sum.kld += kld;
    sum.entropy += entropy;
  }

  std::vector<TenthMean> means() const {
    std::vector<TenthMean> means;
    for (std::size_t i = 0; i < sums_.size(); ++i) {
      if (sums_[i].positions == 0) continue;
      const auto positions = static_cast<double>(sums_[i].positions);
      means.push_back({static_cast<std::int64_t>(i) + 1, sums_[i].kld / positions,
                       sums_[i].entropy / positions});
    }
    return means;
  }

 private:
  struct Sum {
    std::int64_t positions = 0;
    double kld = 0;
    double entropy = 0;
  };
  std::array<Sum, kTenths> sums_;  // NOLINT: members have initial values
};

}  // namespace

PositionDivergence divergence(const at::Tensor& p, const at::Tensor& q, const at::Tensor& targets) {
  std::array<std::vector<at::Tensor>, 5> parts;
  for (std::int64_t begin = 0; begin < p.size(0); begin += kRows) {
    const std::int64_t rows = std::min(kRows, p.size(0) - begin);
    const PositionDivergence part = divergence_of_rows(
        p.narrow(0, begin, rows), q.narrow(0, begin, rows), targets.narrow(0, begin, rows));
    parts[0].push_back(part.kld);
    parts[1].push_back(part.entropy);
    parts[2].push_back(part.delta_p);
    parts[3].push_back(part.ln_ratio);
    parts[4].push_back(part.same_top);
  }
  return {at::cat(parts[0]), at::cat(parts[1]), at::cat(parts[2]), at::cat(parts[3]),
          at::cat(parts[4])};
}

DivergenceMetrics summarise(const DivergenceRecords& records) {
  DivergenceMetrics metrics;
  metrics.windows = records.window_tokens.numel();
  metrics.tokens = records.token_kld.numel();
  const std::span<const std::int64_t> counts = values_of<std::int64_t>(records.window_tokens);
  if (metrics.tokens == 0) {
    throw Error(ErrorKind::kData, "a divergence over no position is not defined");
  }
  if (std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) != metrics.tokens) {
    throw Error(
        ErrorKind::kData,
        fmt::format("the windows have other positions than the {} there are", metrics.tokens));
  }
  const auto tokens = static_cast<double>(metrics.tokens);
  const bool equal = std::all_of(counts.begin(), counts.end(),
                                 [&](std::int64_t count) { return count == counts.front(); });
  const std::span<const double> ratios = values_of<double>(records.window_ln_ratio);
  double means = 0;
  for (std::size_t i = 0; i < ratios.size(); ++i)
    means += ratios[i] / static_cast<double>(counts[i]);
  metrics.ln_ppl_ratio = equal ? means / static_cast<double>(metrics.windows)
                               : sum_of(records.window_ln_ratio) / tokens;
  metrics.kld_mean = sum_of(records.window_kld) / tokens;
  metrics.top1_agreement = sum_of(records.window_same_top) / tokens;
  metrics.delta_p_rms = std::sqrt(sum_of(records.window_delta_p_squared) / tokens);
  const std::span<const double> klds = values_of<double>(records.token_kld);
  std::vector<double> sorted(klds.begin(), klds.end());
  std::sort(sorted.begin(), sorted.end());
  metrics.kld_p99 = quantile(sorted, 0.99);
  metrics.kld_p999 = quantile(sorted, 0.999);
  metrics.kld_max = sorted.back();
  return metrics;
}

std::vector<TenthMean> by_position(const DivergenceRecords& records, std::int64_t context) {
  const auto klds = values_of<double>(records.token_kld);
  const auto entropies = values_of<float>(records.token_entropy);
  const auto counts = values_of<std::int64_t>(records.window_tokens);
  const auto sizes = values_of<std::int64_t>(records.window_size);
  Tenths tenths;
  std::size_t token = 0;
  for (std::size_t window = 0; window < counts.size(); ++window) {
    for (std::int64_t at = sizes[window] - counts[window]; at < sizes[window]; ++at, ++token) {
      tenths.add(at * kTenths / context, klds[token], entropies[token]);
    }
  }
  return tenths.means();
}

std::vector<TenthMean> by_entropy(const DivergenceRecords& records) {
  const auto klds = values_of<double>(records.token_kld);
  const auto entropies = values_of<float>(records.token_entropy);
  std::vector<std::size_t> order(klds.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return entropies[a] < entropies[b]; });
  const auto count = static_cast<std::int64_t>(order.size());
  Tenths tenths;
  for (std::int64_t tenth = 0; tenth < kTenths; ++tenth) {
    for (std::int64_t i = tenth * count / kTenths; i < (tenth + 1) * count / kTenths; ++i) {
      const std::size_t token = order[static_cast<std::size_t>(i)];
      tenths.add(tenth, klds[token], entropies[token]);
    }
  }
  return tenths.means();
}

}  // namespace assay::evaluate
