#include "methods/cushioncache/tuning.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/base/error.h"
#include "harness/formats/philox.h"

namespace assay::cushioncache {
namespace {

// Sums the error, and hands on what a network with rounded activations would see.
class RoundingTap : public models::Tap {
 public:
  explicit RoundingTap(ErrorTap& errors, const TuningOptions& options)
      : errors_(errors), options_(options) {}

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    errors_(site, value);
    if (options_.prediction == Prediction::kFloat || !errors_.wants(site)) return value;
    return value + (rounded(value, options_.error) - value).detach();
  }

 private:
  ErrorTap& errors_;
  const TuningOptions& options_;
};

// The network's prefix as tensors of its own that ask for gradients.
std::vector<optimise::Trainable> trainables_of(models::Network& network) {
  std::vector<models::KeyValues> units = network.prefix().units();
  std::vector<optimise::Trainable> all;
  for (std::size_t i = 0; i < units.size(); ++i) {
    for (auto& [name, tensor] : {std::pair<const char*, at::Tensor*>{"keys", &units[i].keys},
                                 {"values", &units[i].values}}) {
      *tensor = tensor->detach().clone().set_requires_grad(true);
      all.push_back(
          {.name = fmt::format("units.{}.{}", i, name), .tensor = *tensor, .decays = false});
    }
  }
  network.set_prefix(models::Prefix(std::move(units)));
  return all;
}

}  // namespace

Losses add_gradients(const models::Network& network, const at::Tensor& texts,
                     const TuningOptions& options) {
  const at::AutoGradMode gradients(true);
  const auto count = static_cast<double>(texts.size(0));
  const std::vector<std::string> sites = error_sites(network);
  Losses losses;
  for (std::int64_t i = 0; i < texts.size(0); ++i) {  // one at a time: memory is that of a sequence
    const at::Tensor text = texts.narrow(0, i, 1);
    ErrorTap errors(sites, options.error);
    RoundingTap tap(errors, options);
    const at::Tensor logits = network.forward(text, tap)[0];
    const std::int64_t predicted = text.size(1) - 1;
    const at::Tensor prediction =
        at::cross_entropy_loss(logits.narrow(0, 0, predicted), text[0].narrow(0, 1, predicted));
    const at::Tensor error = errors.total();
    const double weight = options.error_mean == ErrorMean::kToken
                              ? options.lambda / static_cast<double>(text.size(1))
                              : options.lambda;
    const at::Tensor loss = prediction.to(at::kCPU, at::kDouble) + weight * error;
    (loss / count).backward();
    losses.prediction += prediction.item<double>() / count;
    losses.error += error.item<double>() / count;
  }
  return losses;
}

Tuner::Tuner(models::Network& network, const at::Tensor& texts, const TuningOptions& options)
    : network_(network),
      texts_(texts.narrow(1, 0, std::min(texts.size(1), network.info().context))),
      options_(options),
      optimiser_(trainables_of(network), {.weight_decay = 0}) {
  // Gradients of the weights would only cost time.
  for (const auto& [name, slot] : network.parameters().slots()) slot->set_requires_grad(false);
}

std::int64_t Tuner::total_steps() const {
  return options_.epochs * ((texts_.size(0) + options_.batch - 1) / options_.batch);
}

// Every text once an epoch, in an order of its own.
at::Tensor Tuner::batch_of(std::int64_t step) const {
  const std::int64_t each = total_steps() / options_.epochs;
  Philox random(options_.seed, "cushioncache.order", static_cast<std::uint64_t>(step / each));
  const std::vector<std::int64_t> order = random.permutation(texts_.size(0));
  const std::int64_t first = step % each * options_.batch;
  const std::int64_t last = std::min(first + options_.batch, texts_.size(0));
  const std::vector<std::int64_t> rows(order.begin() + first, order.begin() + last);
  return texts_.index_select(0, at::tensor(rows, at::kLong).to(texts_.device()));
}

Losses Tuner::step() {
  const std::int64_t step = steps_done();
  for (const optimise::Trainable& each : optimiser_.parameters()) {
    each.tensor.mutable_grad() = at::Tensor();
  }
  const Losses losses = add_gradients(network_, batch_of(step), options_);
  if (!std::isfinite(losses.prediction + losses.error)) {
    throw Error(ErrorKind::kMethod,
                fmt::format("the loss of step {} is {} + {} x {}: not finite; a smaller "
                            "learning_rate may help",
                            step + 1, losses.prediction, options_.lambda, losses.error),
                {{"parameter", "learning_rate"}});
  }
  const double left = 1 - static_cast<double>(step) / static_cast<double>(total_steps());
  const at::NoGradGuard no_gradients;
  optimiser_.step(options_.learning_rate * left);
  return losses;
}

models::TensorMap Tuner::state() const {
  const std::map<std::string, at::Tensor> moments = optimiser_.state();
  models::TensorMap all(moments.begin(), moments.end());
  for (const optimise::Trainable& each : optimiser_.parameters()) {
    all[each.name] = each.tensor.detach();
  }
  return all;
}

void Tuner::restore(const models::TensorMap& state, std::int64_t steps) {
  const at::NoGradGuard no_gradients;
  for (const optimise::Trainable& each : optimiser_.parameters()) {
    const auto found = state.find(each.name);
    if (found == state.end() || found->second.sizes() != each.tensor.sizes()) {
      throw Error(ErrorKind::kData, fmt::format("the checkpoint of the prefix lacks '{}', or it "
                                                "has another shape",
                                                each.name));
    }
    each.tensor.copy_(found->second);
  }
  optimiser_.restore({state.begin(), state.end()}, steps);
}

}  // namespace assay::cushioncache
