#include "methods/psaq_vit/synthesis.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <numbers>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/random_tensor.h"
#include "methods/quant/stage_inputs.h"

namespace assay::psaq_vit {
namespace {

constexpr double kBeta1 = 0.5, kBeta2 = 0.9, kEpsilon = 1e-8;
constexpr double kTargetLow = 2500, kTargetHigh = 3000;
constexpr double kJitter = 0.067;  // of the side: 15 of 224 pixels

// Keeps the attention outputs with their gradient history.
class Recorder : public models::Tap {
 public:
  explicit Recorder(const std::vector<std::string>& sites) {
    for (const std::string& site : sites) values_[site];
  }
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    if (const auto found = values_.find(site); found != values_.end()) found->second = value;
    return value;
  }
  bool wants(std::string_view site) const override { return values_.contains(site); }
  const at::Tensor& at(const std::string& site) const {
    const at::Tensor& value = values_.at(site);
    if (!value.defined()) {
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("the network has no attention output '{}': psaq_vit needs a vision "
                              "transformer",
                              site));
    }
    return value;
  }

 private:
  std::map<std::string, at::Tensor, std::less<>> values_;
};

at::Tensor per_channel(const std::vector<double>& values, const at::TensorOptions& options) {
  return at::tensor(values, at::kDouble).to(options).reshape({1, -1, 1, 1});
}

at::Tensor augmented(const at::Tensor& images, Augmentation draws) {
  const at::Tensor rolled = at::roll(images, {draws.offset, draws.offset}, {2, 3});
  return draws.flip ? at::flip(rolled, {3}) : rolled;
}

// The transpose of `augmented`: carries a gradient back to the images.
at::Tensor pulled_back(const at::Tensor& gradient, Augmentation draws) {
  const at::Tensor flipped = draws.flip ? at::flip(gradient, {3}) : gradient;
  return at::roll(flipped, {-draws.offset, -draws.offset}, {2, 3});
}

void adam(SynthesisState& state, const at::Tensor& gradient, double rate) {
  const auto t = static_cast<double>(state.iterations + 1);
  state.first = state.first * kBeta1 + gradient * (1 - kBeta1);
  state.second = state.second * kBeta2 + gradient.square() * (1 - kBeta2);
  const double step = rate / (1 - std::pow(kBeta1, t));
  const at::Tensor denominator =
      at::sqrt(state.second) / std::sqrt(1 - std::pow(kBeta2, t)) + kEpsilon;
  state.images = state.images - state.first / denominator * step;
}

}  // namespace

double learning_rate(const SynthesisOptions& options, std::int64_t iteration) {
  const std::int64_t warm = options.steps / 5;
  if (iteration < warm) {
    return options.learning_rate * static_cast<double>(iteration + 1) / static_cast<double>(warm);
  }
  const double part =
      static_cast<double>(iteration - warm) / static_cast<double>(options.steps - warm);
  return 0.5 * options.learning_rate * (1 + std::cos(std::numbers::pi * part));
}

std::int64_t jitter_limit(std::int64_t side, std::int64_t round) {
  return std::llround(static_cast<double>(side) * kJitter * (round == 0 ? 1 : 2));
}

void check_network(const models::Network& network, bool imagenet_clip) {
  const models::NetworkInfo& info = network.info();
  if (info.task != models::Task::kClassification || info.input.size() != 3) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("psaq_vit makes images for vision transformers, not for a {} network",
                            info.family));
  }
  if (imagenet_clip && info.input[0] != 3) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("clip_stats: imagenet has statistics of 3 channels, the network takes "
                            "{}; write clip_stats: model",
                            info.input[0]),
                {{"parameter", "clip_stats"}, {"value", "imagenet"}});
  }
}

Synthesizer::Synthesizer(const models::Network& network, SynthesisOptions options)
    : network_(network), options_(options) {
  check_network(network, options.imagenet_clip);
  const models::NetworkInfo& info = network.info();
  for (std::int64_t i = 0; i < network.unit_count(); ++i) {
    sites_.push_back(fmt::format("blocks.{}.attn.av", i));
  }
  const auto type = at::device(quant::device_of(network)).dtype(quant::dtype_of(network));
  const at::Tensor mean =
      per_channel(options.imagenet_clip ? std::vector{.485, .456, .406} : info.mean, type);
  const at::Tensor deviation =
      per_channel(options.imagenet_clip ? std::vector{.229, .224, .225} : info.std, type);
  low_ = -mean / deviation;
  high_ = (1 - mean) / deviation;
}

SynthesisState Synthesizer::start() const {
  const models::NetworkInfo& info = network_.info();
  const std::vector<std::int64_t> shape{options_.images, info.input[0], info.input[1],
                                        info.input[2]};
  SynthesisState state;
  Philox noise(options_.seed, "psaq_vit.noise");
  state.images = models::normal_tensor(noise, shape, 0, 1).to(low_.options());
  state.first = at::zeros_like(state.images);
  state.second = at::zeros_like(state.images);
  Philox classes(options_.seed, "psaq_vit.labels");
  state.labels = at::empty({options_.images}, at::kLong);
  for (std::int64_t i = 0; i < options_.images; ++i) {
    state.labels[i] =
        static_cast<std::int64_t>(classes.below(static_cast<std::uint64_t>(info.outputs)));
  }
  state.labels = state.labels.to(low_.device());
  state.tv_target = Philox(options_.seed, "psaq_vit.tv_target").uniform(kTargetLow, kTargetHigh) *
                    target_scale(shape);
  return state;
}

Losses Synthesizer::losses(const at::Tensor& images, const SynthesisState& state,
                           at::Tensor* gradient) const {
  const at::AutoGradMode with_gradients(gradient != nullptr);
  const at::Tensor x = images.detach().set_requires_grad(gradient != nullptr);
  Recorder recorder(sites_);
  const at::Tensor logits = network_.forward(x, recorder);
  at::Tensor entropy;
  for (const std::string& site : sites_) {
    const at::Tensor each = similarity_entropy(
        patch_similarity(recorder.at(site), options_.drop_first).flatten(1), options_.kde);
    entropy = entropy.defined() ? entropy + each : each;
  }
  const at::Tensor cross_entropy = at::cross_entropy_loss(logits, state.labels);
  const at::Tensor tv = total_variation(x);
  const at::Tensor variation = at::abs(tv - state.tv_target);
  const at::Tensor total = -entropy * options_.pse_weight + cross_entropy * options_.ce_weight +
                           variation * options_.tv_weight;
  if (gradient) {
    total.backward();
    *gradient = x.grad();
  }
  const Losses out{.total = total.item<double>(),
                   .cross_entropy = cross_entropy.item<double>(),
                   .variation = variation.item<double>(),
                   .entropy = -entropy.item<double>(),
                   .tv = tv.item<double>()};
  if (!std::isfinite(out.total)) {
    throw Error(ErrorKind::kMethod,
                fmt::format("the loss became {} at iteration {}", out.total, state.iterations));
  }
  return out;
}

Augmentation Synthesizer::draw(std::int64_t iteration) const {
  Philox random(options_.seed, "psaq_vit.augment", static_cast<std::uint64_t>(iteration));
  const std::int64_t limit = jitter_limit(network_.info().input[1], iteration / options_.steps);
  const std::int64_t offset =
      static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * limit + 1))) - limit;
  return {.offset = offset, .flip = random.uniform() < options_.flip};
}

Losses Synthesizer::step(SynthesisState& state) const {
  return step(state, draw(state.iterations),
              learning_rate(options_, state.iterations % options_.steps));
}

Losses Synthesizer::step(SynthesisState& state, Augmentation draws, double rate) const {
  at::Tensor gradient;
  const Losses found = losses(augmented(state.images, draws), state, &gradient);
  const at::NoGradGuard no_gradients;
  adam(state, pulled_back(gradient, draws), rate);
  state.images = at::minimum(at::maximum(state.images, low_), high_);
  ++state.iterations;
  return found;
}

double Synthesizer::similarity_deviation(const at::Tensor& images) const {
  const at::NoGradGuard no_gradients;
  Recorder recorder(sites_);
  network_.forward(images, recorder);
  return patch_similarity(recorder.at(sites_.back()), options_.drop_first).std().item<double>();
}

}  // namespace assay::psaq_vit
