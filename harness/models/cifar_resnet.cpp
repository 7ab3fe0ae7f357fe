#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>

#include "harness/formats/philox.h"
#include "harness/models/cnn.h"
#include "harness/models/family.h"
#include "harness/models/image_configuration.h"
#include "harness/models/random_tensor.h"

// The ResNets for CIFAR-10 of He et al. 2016, section 4.2, with shortcuts of option A (no
// parameters): three stages of n basic blocks, 6 n + 2 layers.

namespace assay::models {
namespace {

std::string description_of(const Json& given) {
  std::string text = architecture_of(given);
  if (given.is_object() && given.contains("family") && given["family"].is_string())
    text += " " + given["family"].get<std::string>();
  return text;
}

std::vector<ParameterSchema> fields() {
  std::vector<ParameterSchema> all = image_fields(32, 10);
  all.push_back(integers_field("blocks", {3, 3, 3}, 1, 256, "Blocks of each of the three stages."));
  all.push_back(integers_field("widths", {16, 32, 64}, 1, 4096, "Channels of each stage."));
  all.push_back(real_field("bn_eps", 1e-5, 0, 1, "Epsilon of every BatchNorm."));
  return all;
}

UnitDescription unit_of(const std::string& name, std::int64_t in, std::int64_t out) {
  const std::int64_t stride = in == out ? 1 : 2;
  UnitDescription unit{.name = name, .activation = Activation::kRelu};
  unit.path = {
      {.convolution = name + ".conv1",
       .norm = name + ".bn1",
       .in = in,
       .out = out,
       .kernel = 3,
       .stride = stride,
       .activation = Activation::kRelu},
      {.convolution = name + ".conv2", .norm = name + ".bn2", .in = out, .out = out, .kernel = 3}};
  unit.shortcut = stride == 1 ? Shortcut::kIdentity : Shortcut::kPad;
  return unit;
}

std::unique_ptr<Network> make(const Json& given, bool allocate) {
  Json start = Json::object();
  if (given.is_object() && given.contains("blocks_per_stage")) {
    const Json& n = given["blocks_per_stage"];
    start["blocks"] = {n, n, n};
  }
  const Configuration c("cifar_resnet", fields(), with_image_facts(std::move(start), given));
  const std::vector<std::int64_t> blocks = c.integers("blocks");
  const std::vector<std::int64_t> widths = c.integers("widths");
  if (blocks.size() != 3) c.reject("blocks", fmt::format("has {} stages, not 3", blocks.size()));
  if (widths.size() != 3) c.reject("widths", fmt::format("has {} stages, not 3", widths.size()));
  for (std::size_t stage = 1; stage < 3; ++stage)
    if (widths[stage] <= widths[stage - 1] || (widths[stage] - widths[stage - 1]) % 2 != 0)
      c.reject("widths",
               fmt::format("goes from {} to {}: each must exceed the one before by an even "
                           "number, for zero channels on both sides",
                           widths[stage - 1], widths[stage]));
  CnnDescription d{.info = image_info("cifar_resnet", c), .normal_form = c.values()};
  d.normal_form["architecture"] = "cifar_resnet";
  d.eps = c.real("bn_eps");
  d.stem = {.convolution = "conv1",
            .norm = "bn1",
            .in = c.integer("in_chans"),
            .out = widths[0],
            .kernel = 3,
            .activation = Activation::kRelu};
  std::int64_t in = widths[0];
  for (std::size_t stage = 0; stage < 3; ++stage)
    for (std::int64_t j = 0; j < blocks[stage]; ++j) {
      d.units.push_back(unit_of(fmt::format("layer{}.{}", stage + 1, j), in, widths[stage]));
      in = widths[stage];
    }
  d.features = in;
  d.classifier = "linear";
  return make_cnn(std::move(d), allocate);
}

// Kaiming normal over the fan in for convolutions and the classifier.
at::Tensor initial(const Network& network, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (shape.size() > 1)
    return normal_tensor(
        random, shape, 0.0,
        std::sqrt(2.0 * static_cast<double>(shape[0]) / static_cast<double>(like.numel())));
  if (name == "linear.bias") {
    const double bound =
        1.0 / std::sqrt(static_cast<double>(network.parameters().at("linear.weight").size(1)));
    return uniform_tensor(random, shape, -bound, bound);
  }
  return name.ends_with(".bias") ? at::zeros(shape) : at::ones(shape);
}

}  // namespace

Family cifar_resnet_family() {
  return {.declaration = {.name = "cifar_resnet",
                          .title = "ResNet-20/32/44/56 for CIFAR",
                          .task = "classification",
                          .model_types = {"cifar_resnet"},
                          .configuration = fields()},
          .make = make,
          .rename = keep_name,
          .initial = initial,
          .describes = [](const Json& given) {
            return description_of(given).find("CIFAR ResNet") != std::string::npos;
          }};
}

}  // namespace assay::models
