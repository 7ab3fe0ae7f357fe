#include "harness/models/generation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/causal_attention.h"

namespace assay::models {
namespace {

void check_sampling(const Sampling& sampling, std::int64_t tokens) {
  const auto refuse = [](const std::string& problem) {
    throw Error(ErrorKind::kConfig, "generation: " + problem);
  };
  if (tokens < 1) refuse(fmt::format("{} tokens are asked for, not 1 or more", tokens));
  if (!(sampling.temperature >= 0 && sampling.temperature < 1e6)) {
    refuse(fmt::format("a temperature of {} is not from 0 to 1e6", sampling.temperature));
  }
  if (sampling.top_k < 0) refuse(fmt::format("top_k is {}, not 0 or more", sampling.top_k));
}

// The first id whose cumulated probability exceeds a uniform draw; ids in falling order of z.
std::int64_t drawn(const at::Tensor& logits, const Sampling& sampling, Philox& random) {
  const std::int64_t size = logits.numel();
  const std::int64_t kept = sampling.top_k == 0 ? size : std::min(sampling.top_k, size);
  const auto [values, ids] = logits.to(at::kCPU, at::kDouble).sort(/*stable=*/true, 0, true);
  const at::Tensor shares = (values.narrow(0, 0, kept) / sampling.temperature).softmax(0).cumsum(0);
  const double* const sums = shares.const_data_ptr<double>();
  const double uniform = random.uniform() * sums[kept - 1];
  const auto index = std::upper_bound(sums, sums + kept, uniform) - sums;
  return ids[std::min<std::int64_t>(index, kept - 1)].item<std::int64_t>();
}

// The next token of every row of logits [B, vocabulary].
at::Tensor chosen(const at::Tensor& logits, const Sampling& sampling,
                  std::vector<Philox>& streams) {
  at::Tensor next = at::empty({logits.size(0), 1}, at::kLong);
  for (std::int64_t row = 0; row < logits.size(0); ++row) {
    const at::Tensor z = logits[row];
    next[row].fill_(sampling.temperature == 0
                        ? z.argmax().item<std::int64_t>()
                        : drawn(z, sampling, streams[static_cast<std::size_t>(row)]));
  }
  return next;
}

}  // namespace

at::Tensor generate(const Network& network, const at::Tensor& prompts, std::int64_t tokens,
                    const Sampling& sampling, Tap& tap) {
  const c10::InferenceMode inference;
  check_sampling(sampling, tokens);
  check_tokens(prompts, network.info().context - tokens);
  std::vector<Philox> streams;
  for (std::int64_t row = 0; row < prompts.size(0); ++row) {
    streams.emplace_back(sampling.seed, "generation", static_cast<std::uint64_t>(row));
  }
  KeyValueCache cache(network.prefix());
  std::vector<at::Tensor> parts = {prompts};
  for (std::int64_t i = 0; i < tokens; ++i) {
    const at::Tensor& seen = parts.back();
    const at::Tensor logits = network.decode(seen, cache, tap);
    parts.push_back(
        chosen(logits.select(1, logits.size(1) - 1), sampling, streams).to(prompts.device()));
  }
  return at::cat(parts, 1);
}

Prefix prefix_of(const Network& network, const at::Tensor& tokens) {
  if (tokens.numel() == 0) return {};
  const at::NoGradGuard no_gradients;
  KeyValueCache cache;
  Untapped nothing;
  network.decode(tokens.unsqueeze(0), cache, nothing);
  return Prefix(cache.units());
}

}  // namespace assay::models
