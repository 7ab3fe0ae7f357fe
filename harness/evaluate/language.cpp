#include "harness/evaluate/language.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "harness/base/error.h"
#include "harness/evaluate/network_traits.h"
#include "harness/evaluate/window_groups.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kChunkTokens = 2048;

// [rows, size, vocabulary], token by token. `poll` may throw, to stop.
at::Tensor decoded(const models::Network& network, models::Tap& tap, const at::Tensor& input,
                   const std::function<void()>& poll) {
  const models::WeightHold held = network.hold_all();  // every token goes through all of them
  models::KeyValueCache cache(network.prefix());
  std::vector<at::Tensor> logits;
  for (std::int64_t i = 0; i < input.size(1); ++i) {
    logits.push_back(network.decode(input.narrow(1, i, 1), cache, tap));
    poll();
  }
  return at::cat(logits, 1);
}

// Sums of the windows of a group, by window.
void score(const models::Network& network, const at::Tensor& logits, const WindowedText& text,
           const WindowGroup& group, std::vector<double>& sums) {
  const at::Device device = traits_of(network).device;
  for (std::size_t row = 0; row < group.windows.size(); ++row) {
    const auto number = static_cast<std::size_t>(group.windows[row]);
    const Window& window = text.windows[number];
    const auto at = static_cast<std::int64_t>(row);
    const double sum =
        nll_sum(predictions(logits[at], window), targets(group.ids[at], window).to(device));
    if (!std::isfinite(sum)) {
      throw Error(ErrorKind::kMethod,
                  fmt::format("the network's likelihood of window {} is not finite", number));
    }
    sums[number] = sum;
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
                              const Progress& progress, Passing passing) {
  const c10::InferenceMode inference;
  require_fit(network.info(), text);
  const datasets::Range mine = datasets::samples_of(plan);
  std::vector<double> sums(text.windows.size());  // by window
  std::int64_t done = 0;
  const auto poll = [&] {
    if (progress) progress(done, mine.size());
  };
  for_each_group(
      text, plan,
      [&](const WindowGroup& group) {
        const at::Tensor input = group.input.to(traits_of(network).device);
        const at::Tensor logits = passing == Passing::kDecode ? decoded(network, tap, input, poll)
                                                              : network.forward(input, tap);
        score(network, logits, text, group, sums);
        done += static_cast<std::int64_t>(group.windows.size());
      },
      progress);
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
