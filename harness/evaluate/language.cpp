#include "harness/evaluate/language.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/core/error.h"
#include "harness/evaluate/network_traits.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kChunkTokens = 2048;

// Token ids of the windows [begin, end), zeros where a window is shorter: int64 [rows, tokens].
at::Tensor input_of(const datasets::TokenSet& tokens, const std::vector<Window>& windows,
                    datasets::Range range, bool bos) {
  std::int64_t longest = 0;
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    longest = std::max(longest, windows[static_cast<std::size_t>(i)].length);
  }
  const std::int64_t lead = bos ? 1 : 0;
  at::Tensor input = at::zeros({range.size(), longest + lead}, at::kLong);
  if (bos) {
    input.select(1, 0).fill_(*tokens.bos);
  }
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    const Window& window = windows[static_cast<std::size_t>(i)];
    input[i - range.begin]
        .narrow(0, lead, window.length)
        .copy_(tokens.ids.narrow(0, window.begin, window.length));
  }
  return input;
}

void check_fit(const models::NetworkInfo& info, const datasets::TokenSet& tokens,
               const WindowProtocol& protocol) {
  if (info.context > 0 && protocol.context > info.context) {
    throw Error(ErrorKind::kConfig, fmt::format("context {}; the network takes at most {} tokens",
                                                protocol.context, info.context));
  }
  if (tokens.ids.numel() == 0) {
    return;
  }
  const auto largest = tokens.ids.max().item<std::int64_t>();
  if (largest >= info.outputs || tokens.ids.min().item<std::int64_t>() < 0) {
    throw Error(ErrorKind::kData,
                fmt::format("the text holds token id {}, the network's vocabulary has {}; another "
                            "model's tokenizer?",
                            largest, info.outputs));
  }
}

}  // namespace

double nll_sum(const at::Tensor& logits, const at::Tensor& targets) {
  const bool wide = logits.scalar_type() == at::kDouble;
  const at::Tensor log_p = at::log_softmax(logits.to(wide ? at::kDouble : at::kFloat), 1);
  return -log_p.gather(1, targets.unsqueeze(1)).to(at::kDouble).sum().item<double>();
}

LanguageRecords score_windows(const models::Network& network, models::Tap& tap,
                              const datasets::TokenSet& tokens, const std::vector<Window>& windows,
                              const WindowProtocol& protocol, const datasets::ChunkPlan& plan,
                              const Progress& progress) {
  const c10::InferenceMode inference;
  check_fit(network.info(), tokens, protocol);
  const NetworkTraits traits = traits_of(network);
  const datasets::Range chunks = datasets::chunks_of(plan);
  const datasets::Range mine = datasets::samples_of(plan);
  std::vector<double> nll;
  std::vector<std::int64_t> counts;
  std::vector<double> words;
  std::vector<double> bytes;
  const std::int64_t lead = protocol.bos_every_window ? 1 : 0;
  for (std::int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
    const datasets::Range range = datasets::samples_of(plan, chunk);
    const at::Tensor input =
        datasets::padded(input_of(tokens, windows, range, protocol.bos_every_window), plan.chunk);
    const at::Tensor logits = network.forward(input.to(traits.device), tap);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const Window& window = windows[static_cast<std::size_t>(i)];
      const std::int64_t first = window.length + lead - window.scored;
      const std::int64_t row = i - range.begin;
      const double sum = nll_sum(logits[row].narrow(0, first - 1, window.scored),
                                 input[row].narrow(0, first, window.scored).to(traits.device));
      if (!std::isfinite(sum)) {
        throw Error(ErrorKind::kMethod,
                    fmt::format("the network's likelihood of window {} is not finite", i));
      }
      nll.push_back(sum);
      counts.push_back(window.scored);
      words.push_back(window.words);
      bytes.push_back(window.bytes);
    }
    if (progress) {
      progress(range.end - mine.begin, mine.size());
    }
  }
  return {at::tensor(nll, at::kDouble), at::tensor(counts, at::kLong),
          at::tensor(words, at::kDouble), at::tensor(bytes, at::kDouble)};
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
  double word_count = 0;
  double byte_count = 0;
  for (std::int64_t i = 0; i < metrics.windows; ++i) {
    const std::int64_t count = tokens.const_data_ptr<std::int64_t>()[i];
    equal = equal && count == first;
    metrics.tokens += count;
    total += nll.const_data_ptr<double>()[i];
    means += nll.const_data_ptr<double>()[i] / static_cast<double>(count);
    word_count += words.const_data_ptr<double>()[i];
    byte_count += bytes.const_data_ptr<double>()[i];
  }
  metrics.nll = equal ? means / static_cast<double>(metrics.windows)
                      : total / static_cast<double>(metrics.tokens);
  metrics.perplexity = std::exp(metrics.nll);
  metrics.word_perplexity = std::exp(total / word_count);
  metrics.byte_perplexity = std::exp(total / byte_count);
  metrics.bits_per_byte = total / (byte_count * std::log(2.0));
  return metrics;
}

std::int64_t default_window_chunk(std::int64_t context) {
  return std::max<std::int64_t>(1, kChunkTokens / std::max<std::int64_t>(1, context));
}

}  // namespace assay::evaluate
