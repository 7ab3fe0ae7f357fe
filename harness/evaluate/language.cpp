#include "harness/evaluate/language.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "harness/base/error.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/network_traits.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kChunkTokens = 2048;

using Rows = std::vector<std::int64_t>;  // indices of windows

// Token ids of windows of one size: int64 [rows, size].
at::Tensor input_of(const WindowedText& text, const Rows& rows) {
  const std::int64_t size = text.windows[static_cast<std::size_t>(rows.front())].size();
  at::Tensor input = at::empty({static_cast<std::int64_t>(rows.size()), size}, at::kLong);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Window& window = text.windows[static_cast<std::size_t>(rows[row])];
    const at::Tensor target = input[static_cast<std::int64_t>(row)];
    if (window.bos) {
      target[0].fill_(*text.bos);
    }
    target.narrow(0, size - window.length, window.length)
        .copy_(text.ids.narrow(0, window.begin, window.length));
  }
  return input;
}

// The windows of a range by size, longest first.
std::map<std::int64_t, Rows, std::greater<>> by_size(const WindowedText& text,
                                                     datasets::Range range) {
  std::map<std::int64_t, Rows, std::greater<>> groups;
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    groups[text.windows[static_cast<std::size_t>(i)].size()].push_back(i);
  }
  return groups;
}

void check_fit(const models::NetworkInfo& info, const WindowedText& text) {
  require_context(info, text.context);
  if (text.ids.numel() == 0) return;
  const std::int32_t bos = text.bos_rule == "none" ? 0 : text.bos.value_or(0);
  require_vocabulary(info, std::max(text.ids.max().item<std::int32_t>(), bos));
  if (const auto least = text.ids.min().item<std::int32_t>(); least < 0) {
    throw Error(ErrorKind::kData, fmt::format("the text holds token id {}", least));
  }
}

// Sums of the windows in `rows`, which have one size and are computed together, `padding` rows
// under them.
void score(const models::Network& network, models::Tap& tap, const WindowedText& text,
           const Rows& rows, std::int64_t padding, std::vector<double>& sums) {
  const NetworkTraits traits = traits_of(network);
  const at::Tensor input = input_of(text, rows);
  const at::Tensor padded =
      datasets::padded(input, static_cast<std::int64_t>(rows.size()) + padding);
  const at::Tensor logits = network.forward(padded.to(traits.device), tap);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Window& window = text.windows[static_cast<std::size_t>(rows[row])];
    const auto at = static_cast<std::int64_t>(row);
    const std::int64_t first = window.size() - window.scored;
    const double sum = nll_sum(logits[at].narrow(0, first - 1, window.scored),
                               input[at].narrow(0, first, window.scored).to(traits.device));
    if (!std::isfinite(sum)) {
      throw Error(ErrorKind::kMethod,
                  fmt::format("the network's likelihood of window {} is not finite", rows[row]));
    }
    sums[static_cast<std::size_t>(rows[row])] = sum;
  }
}

}  // namespace

double nll_sum(const at::Tensor& logits, const at::Tensor& targets) {
  const bool wide = logits.scalar_type() == at::kDouble;
  const at::Tensor log_p = at::log_softmax(logits.to(wide ? at::kDouble : at::kFloat), 1);
  return -log_p.gather(1, targets.unsqueeze(1)).to(at::kDouble).sum().item<double>();
}

LanguageRecords score_windows(const models::Network& network, models::Tap& tap,
                              const WindowedText& text, const datasets::ChunkPlan& plan,
                              const Progress& progress) {
  const c10::InferenceMode inference;
  check_fit(network.info(), text);
  const datasets::Range chunks = datasets::chunks_of(plan);
  const datasets::Range mine = datasets::samples_of(plan);
  std::vector<double> sums(text.windows.size());  // by window
  for (std::int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
    const datasets::Range range = datasets::samples_of(plan, chunk);
    const auto groups = by_size(text, range);
    for (const auto& [size, rows] : groups) {
      score(network, tap, text, rows, groups.size() == 1 ? plan.chunk - range.size() : 0, sums);
    }
    if (progress) {
      progress(range.end - mine.begin, mine.size());
    }
  }
  std::vector<double> nll;
  std::vector<std::int64_t> counts;
  std::vector<std::int64_t> words;
  std::vector<std::int64_t> bytes;
  for (std::int64_t i = mine.begin; i < mine.end; ++i) {
    const Window& window = text.windows[static_cast<std::size_t>(i)];
    nll.push_back(sums[static_cast<std::size_t>(i)]);
    counts.push_back(window.scored);
    words.push_back(window.words);
    bytes.push_back(window.bytes);
  }
  return {at::tensor(nll, at::kDouble), at::tensor(counts, at::kLong), at::tensor(words, at::kLong),
          at::tensor(bytes, at::kLong)};
}

LanguageMetrics summarise(const LanguageRecords& records) {
  LanguageMetrics metrics;
  metrics.windows = records.window_nll.numel();
  if (metrics.windows == 0) {
    throw Error(ErrorKind::kData, "a perplexity of no window is not defined");
  }
  const at::Tensor nll = records.window_nll.contiguous();
  const at::Tensor tokens = records.window_tokens.contiguous();
  const at::Tensor words = records.window_words.contiguous();
  const at::Tensor bytes = records.window_bytes.contiguous();
  const std::int64_t first = tokens.const_data_ptr<std::int64_t>()[0];
  bool equal = true;
  double total = 0;
  double means = 0;
  std::int64_t word_count = 0;
  std::int64_t byte_count = 0;
  for (std::int64_t i = 0; i < metrics.windows; ++i) {
    const std::int64_t count = tokens.const_data_ptr<std::int64_t>()[i];
    equal = equal && count == first;
    metrics.tokens += count;
    total += nll.const_data_ptr<double>()[i];
    means += nll.const_data_ptr<double>()[i] / static_cast<double>(count);
    word_count += words.const_data_ptr<std::int64_t>()[i];
    byte_count += bytes.const_data_ptr<std::int64_t>()[i];
  }
  metrics.nll = equal ? means / static_cast<double>(metrics.windows)
                      : total / static_cast<double>(metrics.tokens);
  metrics.perplexity = std::exp(metrics.nll);
  metrics.word_perplexity = std::exp(total / static_cast<double>(word_count));
  metrics.byte_perplexity = std::exp(total / static_cast<double>(byte_count));
  metrics.bits_per_byte = total / (static_cast<double>(byte_count) * std::log(2.0));
  return metrics;
}

std::int64_t default_window_chunk(std::int64_t context) {
  return std::max<std::int64_t>(1, kChunkTokens / std::max<std::int64_t>(1, context));
}

}  // namespace assay::evaluate
