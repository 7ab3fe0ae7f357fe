#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "methods/train/batches.h"

namespace assay::train {
namespace {

class TokenBatches : public Batches {
 public:
  TokenBatches(const at::Tensor& tokens, const models::NetworkInfo& network,
               const Settings& settings, std::uint64_t seed)
      : tokens_(tokens.to(at::kLong)),
        window_(window_of(network, settings)),
        batch_(settings.batch),
        seed_(seed) {
    require_window(network, settings);
    require_tokens(network, settings, tokens_.dim() == 1 ? tokens_.numel() : 0);
    const auto low = tokens_.min().item<std::int64_t>();
    const auto high = tokens_.max().item<std::int64_t>();
    if (low < 0 || high >= network.outputs)
      throw Error(ErrorKind::kData,
                  fmt::format("training tokens go from {} to {}, the network's vocabulary ends at "
                              "{}",
                              low, high, network.outputs - 1));
  }

  std::int64_t samples() const override { return tokens_.numel() / window_; }

  Batch at(std::int64_t step) const override {
    Philox random(seed_, "train.windows", static_cast<std::uint64_t>(step));
    const auto places = static_cast<std::uint64_t>(tokens_.numel() - window_);
    std::vector<at::Tensor> rows;
    for (std::int64_t i = 0; i < batch_; ++i)
      rows.push_back(
          tokens_.narrow(0, static_cast<std::int64_t>(random.below(places)), window_ + 1));
    const at::Tensor all = at::stack(rows);  // [b, window + 1]
    return {all.narrow(1, 0, window_).contiguous(), all.narrow(1, 1, window_).contiguous()};
  }

 private:
  at::Tensor tokens_;
  std::int64_t window_;
  std::int64_t batch_;
  std::uint64_t seed_;
};

}  // namespace

void require_window(const models::NetworkInfo& network, const Settings& settings) {
  if (network.task != models::Task::kLanguage || settings.window <= network.context) return;
  throw Error(
      ErrorKind::kConfig,
      fmt::format("train: a window of {} tokens is longer than the network's context of {}; "
                  "write window: {} or less, or 0 for the network's own",
                  settings.window, network.context, network.context),
      {{"parameter", "window"}, {"value", std::to_string(settings.window)}});
}

std::int64_t window_of(const models::NetworkInfo& network, const Settings& settings) {
  return settings.window > 0 ? settings.window : network.context;
}

void require_tokens(const models::NetworkInfo& network, const Settings& settings,
                    std::int64_t tokens) {
  const std::int64_t window = window_of(network, settings);
  if (tokens > window) return;
  throw Error(ErrorKind::kData,
              fmt::format("{} training tokens are too few for windows of {}; write a smaller "
                          "`window`, or name a longer text",
                          tokens, window),
              {{"parameter", "window"}, {"value", std::to_string(window)}});
}

std::unique_ptr<Batches> token_batches(const at::Tensor& tokens, const models::NetworkInfo& network,
                                       const Settings& settings, std::uint64_t seed) {
  return std::make_unique<TokenBatches>(tokens, network, settings, seed);
}

}  // namespace assay::train
