#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <regex>

#include "harness/formats/philox.h"
#include "harness/models/cnn.h"
#include "harness/models/family.h"
#include "harness/models/image_configuration.h"
#include "harness/models/random_tensor.h"

// MobileNetV2 (Sandler et al. 2018) with the parameter names of torchvision.

namespace assay::models {
namespace {

struct Group {
  std::int64_t expansion, channels, repeats, stride;  // t, c, n, s of the paper's table 2
};

constexpr std::array<Group, 7> kGroups{{{1, 16, 1, 1},
                                        {6, 24, 2, 2},
                                        {6, 32, 3, 2},
                                        {6, 64, 4, 2},
                                        {6, 96, 3, 1},
                                        {6, 160, 3, 2},
                                        {6, 320, 1, 1}}};

// The multiple of 8 nearest to `channels`, at least 90 % of it.
std::int64_t divisible(double channels) {
  const std::int64_t rounded =
      std::max<std::int64_t>(8, static_cast<std::int64_t>(channels + 4.0) / 8 * 8);
  return static_cast<double>(rounded) < 0.9 * channels ? rounded + 8 : rounded;
}

std::vector<ParameterSchema> fields() {
  std::vector<ParameterSchema> all = image_fields(224, 1000);
  all.push_back(real_field("width_mult", 1.0, 0.01, 16, "Factor on the channels of every layer."));
  all.push_back(real_field("bn_eps", 1e-5, 0, 1, "Epsilon of every BatchNorm."));
  return all;
}

UnitDescription unit_of(const std::string& name, std::int64_t in, std::int64_t out,
                        std::int64_t stride, std::int64_t expansion) {
  const std::int64_t wide = in * expansion;
  UnitDescription unit{.name = name};
  int index = 0;
  const auto activated = [&](std::int64_t from, std::int64_t kernel, std::int64_t by,
                             std::int64_t groups) {
    unit.path.push_back({.convolution = fmt::format("{}.conv.{}.0", name, index),
                         .norm = fmt::format("{}.conv.{}.1", name, index),
                         .in = from,
                         .out = wide,
                         .kernel = kernel,
                         .stride = by,
                         .groups = groups,
                         .activation = Activation::kRelu6});
    ++index;
  };
  if (expansion != 1) activated(in, 1, 1, 1);
  activated(wide, 3, stride, wide);
  unit.path.push_back({.convolution = fmt::format("{}.conv.{}", name, index),
                       .norm = fmt::format("{}.conv.{}", name, index + 1),
                       .in = wide,
                       .out = out});
  if (stride == 1 && in == out) unit.shortcut = Shortcut::kIdentity;
  return unit;
}

std::unique_ptr<Network> make(const Json& given, bool allocate) {
  const Configuration c("mobilenet_v2", fields(), with_image_facts(Json::object(), given));
  const double width = c.real("width_mult");
  CnnDescription d{.info = image_info("mobilenet_v2", c), .normal_form = c.values()};
  d.normal_form["architecture"] = "mobilenet_v2";
  d.eps = c.real("bn_eps");
  std::int64_t in = divisible(32 * width);
  d.stem = {.convolution = "features.0.0",
            .norm = "features.0.1",
            .in = c.integer("in_chans"),
            .out = in,
            .kernel = 3,
            .stride = 2,
            .activation = Activation::kRelu6};
  for (const Group& group : kGroups) {
    const std::int64_t out = divisible(static_cast<double>(group.channels) * width);
    for (std::int64_t j = 0; j < group.repeats; ++j) {
      d.units.push_back(unit_of(fmt::format("features.{}", d.units.size() + 1), in, out,
                                j == 0 ? group.stride : 1, group.expansion));
      in = out;
    }
  }
  d.features = divisible(1280 * std::max(1.0, width));
  const std::string last = fmt::format("features.{}", d.units.size() + 1);
  d.units.push_back({.name = last,
                     .path = {{.convolution = last + ".0",
                               .norm = last + ".1",
                               .in = in,
                               .out = d.features,
                               .activation = Activation::kRelu6}}});
  d.classifier = "classifier.1";
  return make_cnn(std::move(d), allocate);
}

// BRECQ's file counts convolutions, norms and activations of a block in one flat list.
std::string rename(const std::string& name, const std::set<std::string>& all) {
  if (!all.contains("features.1.conv.0.weight")) return name;
  static const std::regex flat("features\\.([0-9]+)\\.conv\\.([0-9])\\.([a-z_]+)");
  std::smatch part;
  if (!std::regex_match(name, part, flat)) return name;
  // Flat index -> ours; the first block has no expansion.
  static const std::map<std::string, std::string> first{
      {"0", "0.0"}, {"1", "0.1"}, {"3", "1"}, {"4", "2"}};
  static const std::map<std::string, std::string> other{{"0", "0.0"}, {"1", "0.1"}, {"3", "1.0"},
                                                        {"4", "1.1"}, {"6", "2"},   {"7", "3"}};
  const std::map<std::string, std::string>& table = part[1] == "1" ? first : other;
  const auto found = table.find(part[2]);
  return found == table.end()
             ? name
             : fmt::format("features.{}.conv.{}.{}", part[1].str(), found->second, part[3].str());
}

// torchvision's: Kaiming normal over the fan out, normal 0.01 for the classifier.
at::Tensor initial(const Network&, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (shape.size() == 4)
    return normal_tensor(random, shape, 0.0,
                         std::sqrt(2.0 / static_cast<double>(shape[0] * shape[2] * shape[3])));
  if (shape.size() == 2) return normal_tensor(random, shape, 0.0, 0.01);
  return name.ends_with(".bias") ? at::zeros(shape) : at::ones(shape);
}

}  // namespace

Family mobilenet_v2_family() {
  return {.declaration = {.name = "mobilenet_v2",
                          .title = "MobileNetV2 of torchvision",
                          .task = "classification",
                          .model_types = {"mobilenet_v2"},
                          .configuration = fields()},
          .make = make,
          .rename = rename,
          .initial = initial,
          .describes = [](const Json& given) {
            return architecture_of(given) == "torchvision mobilenet_v2";
          }};
}

}  // namespace assay::models
