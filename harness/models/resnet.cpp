#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>

#include "harness/formats/philox.h"
#include "harness/models/cnn.h"
#include "harness/models/family.h"
#include "harness/models/image_configuration.h"
#include "harness/models/random_tensor.h"

// ResNet (He et al. 2016) with the parameter names of torchvision.

namespace assay::models {
namespace {

constexpr std::int64_t kExpansion = 4;  // of a bottleneck's last convolution

struct Variant {
  const char* name;
  const char* block;
  std::array<int, 4> layers;
};

constexpr std::array<Variant, 5> kVariants{{{"resnet18", "basic", {2, 2, 2, 2}},
                                            {"resnet34", "basic", {3, 4, 6, 3}},
                                            {"resnet50", "bottleneck", {3, 4, 6, 3}},
                                            {"resnet101", "bottleneck", {3, 4, 23, 3}},
                                            {"resnet152", "bottleneck", {3, 8, 36, 3}}}};

std::optional<Json> fields_of_name(std::string name) {
  if (name.starts_with("torchvision ")) name.erase(0, 12);
  for (const Variant& variant : kVariants)
    if (name == variant.name) return Json{{"block", variant.block}, {"layers", variant.layers}};
  return std::nullopt;
}

std::vector<ParameterSchema> fields() {
  std::vector<ParameterSchema> all = image_fields(224, 1000);
  all.push_back(text_field("block", nullptr, {"basic", "bottleneck"}, "Kind of residual block."));
  all.push_back(integers_field("layers", nullptr, 1, 256, "Blocks of each of the four stages."));
  all.push_back(integer_field("width", 64, 1, 4096, "Channels of the stem and the first stage."));
  all.push_back(real_field("bn_eps", 1e-5, 0, 1, "Epsilon of every BatchNorm."));
  return all;
}

UnitDescription unit_of(const std::string& name, bool bottleneck, std::int64_t in,
                        std::int64_t width, std::int64_t stride) {
  const std::int64_t out = bottleneck ? kExpansion * width : width;
  const auto step = [&](int i, std::int64_t from, std::int64_t to, std::int64_t kernel,
                        std::int64_t by, Activation activation) {
    return StepDescription{.convolution = fmt::format("{}.conv{}", name, i),
                           .norm = fmt::format("{}.bn{}", name, i),
                           .in = from,
                           .out = to,
                           .kernel = kernel,
                           .stride = by,
                           .activation = activation};
  };
  UnitDescription unit{.name = name, .activation = Activation::kRelu};
  if (bottleneck) {
    // torchvision strides in the 3x3 convolution, not in the first 1x1 as the paper does.
    unit.path = {step(1, in, width, 1, 1, Activation::kRelu),
                 step(2, width, width, 3, stride, Activation::kRelu),
                 step(3, width, out, 1, 1, Activation::kNone)};
  } else {
    unit.path = {step(1, in, width, 3, stride, Activation::kRelu),
                 step(2, width, width, 3, 1, Activation::kNone)};
  }
  unit.shortcut = stride == 1 && in == out ? Shortcut::kIdentity : Shortcut::kProjection;
  if (unit.shortcut == Shortcut::kProjection)
    unit.projection = {.convolution = name + ".downsample.0",
                       .norm = name + ".downsample.1",
                       .in = in,
                       .out = out,
                       .stride = stride};
  return unit;
}

std::unique_ptr<Network> make(const Json& given, bool allocate) {
  const Configuration c(
      "resnet", fields(),
      with_image_facts(fields_of_name(architecture_of(given)).value_or(Json::object()), given));
  const std::vector<std::int64_t> layers = c.integers("layers");
  if (layers.size() != 4) c.reject("layers", fmt::format("has {} stages, not 4", layers.size()));
  const bool bottleneck = c.text("block") == "bottleneck";
  const std::int64_t width = c.integer("width");
  CnnDescription d{.info = image_info("resnet", c), .normal_form = c.values()};
  d.normal_form["architecture"] = "resnet";
  d.eps = c.real("bn_eps");
  d.stem = {.convolution = "conv1",
            .norm = "bn1",
            .in = c.integer("in_chans"),
            .out = width,
            .kernel = 7,
            .stride = 2,
            .activation = Activation::kRelu};
  d.max_pool = true;
  std::int64_t in = width;
  for (std::size_t stage = 0; stage < 4; ++stage)
    for (std::int64_t j = 0; j < layers[stage]; ++j) {
      const std::int64_t stage_width = width << stage;
      d.units.push_back(unit_of(fmt::format("layer{}.{}", stage + 1, j), bottleneck, in,
                                stage_width, stage > 0 && j == 0 ? 2 : 1));
      in = bottleneck ? kExpansion * stage_width : stage_width;
    }
  d.features = in;
  d.classifier = "fc";
  return make_cnn(std::move(d), allocate);
}

// torchvision's: Kaiming normal over the fan out for convolutions, uniform within 1 / sqrt(fan in)
// for the classifier.
at::Tensor initial(const Network& network, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (shape.size() == 4)
    return normal_tensor(random, shape, 0.0,
                         std::sqrt(2.0 / static_cast<double>(shape[0] * shape[2] * shape[3])));
  if (name.starts_with("fc.")) {
    const double bound =
        1.0 / std::sqrt(static_cast<double>(network.parameters().at("fc.weight").size(1)));
    return uniform_tensor(random, shape, -bound, bound);
  }
  return name.ends_with(".bias") ? at::zeros(shape) : at::ones(shape);
}

}  // namespace

Family resnet_family() {
  return {.declaration = {.name = "resnet",
                          .title = "ResNet-18/34/50/101/152 of torchvision",
                          .task = "classification",
                          .model_types = {"resnet"},
                          .configuration = fields()},
          .make = make,
          .rename = keep_name,
          .initial = initial,
          .describes = [](const Json& given) {
            return fields_of_name(architecture_of(given)).has_value();
          }};
}

}  // namespace assay::models
