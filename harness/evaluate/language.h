#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <vector>

#include "datasets/chunks.h"
#include "harness/base/enum_names.h"
#include "harness/evaluate/progress.h"
#include "harness/evaluate/windows.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

namespace assay::evaluate {

// One value a window, in text order.
struct LanguageRecords {
  at::Tensor window_nll;     // float64 [n]: sum over the scored tokens, in nats
  at::Tensor window_tokens;  // int64 [n]: scored tokens
  at::Tensor window_words;   // int64 [n]: of the text that the scored tokens stand for
  at::Tensor window_bytes;   // int64 [n]
};

// How a window goes through the network.
enum class Passing {
  kWhole,   // in one pass
  kDecode,  // token by token, through a cache of keys and values, as generation does
};

constexpr auto enum_names(Passing) {
  return std::to_array<EnumName<Passing>>({{Passing::kWhole, "whole"}, {Passing::kDecode, "decode"}});
}

// Windows of one shard of `plan`, in the chunks of for_each_group(). Logits are taken as float32
// (float64 for a float64 network), their log-softmax in the same type, sums in float64. Throws as
// require_fit(), and Error(kMethod) naming the first window whose likelihood is not finite.
LanguageRecords score_windows(const models::Network& network, models::Tap& tap,
                              const WindowedText& text, const datasets::ChunkPlan& plan,
                              const Progress& progress = {}, Passing passing = Passing::kWhole);

// Sum of -log softmax(logits)[target] over rows. logits: [n, vocabulary]; targets: int64 [n].
double nll_sum(const at::Tensor& logits, const at::Tensor& targets);

struct LanguageMetrics {
  std::int64_t windows = 0;
  std::int64_t tokens = 0;
  double nll = 0;         // nats a token: mean of the window means if all windows score equally
                          // many tokens, else total / tokens
  double perplexity = 0;  // exp(nll)
  double word_perplexity = 0;  // exp(total / words); infinite without a word
  double byte_perplexity = 0;  // exp(total / bytes)
  double bits_per_byte = 0;    // total / (bytes ln 2)
};

// Reduced in float64 in window order. Throws Error(kData) if there is no window.
LanguageMetrics summarise(const LanguageRecords& records);

// Windows a chunk where the sweep leaves it open: about 2,048 tokens, which is where the speed of a
// CPU levels off and the logits of a large vocabulary still fit memory.
std::int64_t default_window_chunk(std::int64_t context);

}  // namespace assay::evaluate
