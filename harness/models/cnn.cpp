#include "harness/models/cnn.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "harness/models/image_configuration.h"
#include "harness/models/layers.h"

namespace assay::models {
namespace {

struct Step {
  Convolution convolution;
  BatchNorm norm;
  Activation activation = Activation::kNone;
  std::string in, norm_in;  // sites
};

struct Unit {
  std::vector<Step> path;
  Shortcut shortcut = Shortcut::kNone;
  Step projection;
  Activation activation = Activation::kNone;
  std::string out;  // site, of the last unit only: elsewhere it is the input of the next
};

at::Tensor activated(at::Tensor x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return apply_relu(std::move(x));
    case Activation::kRelu6:
      return apply_relu6(std::move(x));
    case Activation::kNone:
      break;
  }
  return x;
}

// Every second pixel, and (channels - own) / 2 zero channels before and behind.
at::Tensor padded_shortcut(const at::Tensor& x, std::int64_t channels) {
  const std::int64_t pad = (channels - x.size(1)) / 2;
  const at::Tensor thin = x.slice(2, 0, c10::nullopt, 2).slice(3, 0, c10::nullopt, 2);
  return at::constant_pad_nd(thin, {0, 0, 0, 0, pad, pad}, 0);
}

class Cnn final : public Network {
 public:
  Cnn(CnnDescription description, bool allocate);

  const NetworkInfo& info() const override { return description_.info; }
  const Json& configuration() const override { return description_.normal_form; }
  at::Tensor embed(const at::Tensor& input, Tap& tap) const override;
  std::int64_t unit_count() const override { return static_cast<std::int64_t>(units_.size()); }
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const override;
  at::Tensor head(const at::Tensor& hidden, Tap& tap) const override;
  std::vector<Layer> layers() const override;
  std::vector<std::string> sites() const override;

 private:
  void add_step(Builder& build, const StepDescription& from, Step& step) const;
  at::Tensor run(const Step& step, const at::Tensor& x, Tap& tap) const;
  Layer layer_of(const StepDescription& from, const std::string& in, std::int64_t unit) const;

  CnnDescription description_;
  Step stem_;
  std::vector<Unit> units_;
  Linear classifier_;
  std::string classifier_in_, classifier_out_;
};

Cnn::Cnn(CnnDescription description, bool allocate) : description_(std::move(description)) {
  const CnnDescription& d = description_;
  Builder build(parameters_, buffers_, allocate);
  add_step(build, d.stem, stem_);
  stem_.in = "input";
  units_.resize(d.units.size());
  for (std::size_t i = 0; i < units_.size(); ++i) {
    Unit& unit = units_[i];
    unit.path.resize(d.units[i].path.size());
    for (std::size_t j = 0; j < unit.path.size(); ++j)
      add_step(build, d.units[i].path[j], unit.path[j]);
    unit.shortcut = d.units[i].shortcut;
    if (unit.shortcut == Shortcut::kProjection) {
      add_step(build, d.units[i].projection, unit.projection);
      unit.projection.in = unit.path[0].in;
    }
    unit.activation = d.units[i].activation;
  }
  units_.back().out = d.units.back().name + ".out";
  build.linear(d.classifier, classifier_, d.features, d.info.outputs);
  classifier_in_ = d.classifier + ".in";
  classifier_out_ = d.classifier + ".out";
}

void Cnn::add_step(Builder& build, const StepDescription& from, Step& step) const {
  step.convolution.stride = from.stride;
  step.convolution.padding = from.kernel / 2;
  step.convolution.groups = from.groups;
  step.activation = from.activation;
  step.in = from.convolution + ".in";
  step.norm_in = from.norm + ".in";
  build.convolution(from.convolution, step.convolution, from.in, from.out, from.kernel);
  build.batch_norm(from.norm, step.norm, from.out, description_.eps);
}

// Convolution, norm and activation of an edge that the tap has seen.
at::Tensor Cnn::run(const Step& step, const at::Tensor& x, Tap& tap) const {
  at::Tensor y = tap(step.norm_in, step.convolution(x));
  return activated(step.norm(y, training_), step.activation);
}

at::Tensor Cnn::embed(const at::Tensor& input, Tap& tap) const {
  check_images(input, info(), /*exact=*/false);
  const at::Tensor x = run(stem_, tap(stem_.in, input), tap);
  return description_.max_pool ? at::max_pool2d(x, 3, 2, 1) : x;
}

at::Tensor Cnn::unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const {
  const Unit& u = units_.at(static_cast<std::size_t>(index));
  const at::Tensor x = tap(u.path[0].in, hidden);  // the path and the shortcut share this edge
  at::Tensor y = run(u.path[0], x, tap);
  for (std::size_t j = 1; j < u.path.size(); ++j) y = run(u.path[j], tap(u.path[j].in, y), tap);
  switch (u.shortcut) {
    case Shortcut::kNone:
      break;
    case Shortcut::kIdentity:
      y = add_into(std::move(y), x);
      break;
    case Shortcut::kProjection:
      y = add_into(std::move(y), run(u.projection, x, tap));
      break;
    case Shortcut::kPad: {
      const std::int64_t channels = y.size(1);
      y = add_into(std::move(y), padded_shortcut(x, channels));
      break;
    }
  }
  y = activated(std::move(y), u.activation);
  return u.out.empty() ? y : tap(u.out, y);
}

at::Tensor Cnn::head(const at::Tensor& hidden, Tap& tap) const {
  return tap(classifier_out_, classifier_(tap(classifier_in_, hidden.mean({2, 3}))));
}

Layer Cnn::layer_of(const StepDescription& from, const std::string& in, std::int64_t unit) const {
  return {.name = from.convolution,
          .kind = LayerKind::kConv,
          .unit = unit,
          .input_site = in,
          .output_site = from.norm + ".in"};
}

std::vector<Layer> Cnn::layers() const {
  std::vector<Layer> all{layer_of(description_.stem, stem_.in, -1)};
  for (std::size_t i = 0; i < units_.size(); ++i) {
    const UnitDescription& unit = description_.units[i];
    const auto index = static_cast<std::int64_t>(i);
    for (std::size_t j = 0; j < unit.path.size(); ++j)
      all.push_back(layer_of(unit.path[j], units_[i].path[j].in, index));
    if (unit.shortcut == Shortcut::kProjection)
      all.push_back(layer_of(unit.projection, units_[i].path[0].in, index));
  }
  all.push_back({.name = description_.classifier,
                 .unit = unit_count(),
                 .input_site = classifier_in_,
                 .output_site = classifier_out_});
  return all;
}

std::vector<std::string> Cnn::sites() const {
  std::vector<std::string> all{stem_.in};
  for (const Unit& unit : units_)
    for (const Step& step : unit.path) all.push_back(step.in);
  all.push_back(classifier_in_);
  return all;
}

}  // namespace

std::unique_ptr<Network> make_cnn(CnnDescription description, bool allocate) {
  return std::make_unique<Cnn>(std::move(description), allocate);
}

}  // namespace assay::models
