#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/models/network.h"

namespace assay::models {

// Convolutional classifiers as data: a stem, units of convolution - BatchNorm - activation with a
// shortcut, global average, one linear layer. ResNet, the CIFAR ResNet and MobileNetV2 are
// descriptions of this kind; one class runs them.

enum class Activation { kNone, kRelu, kRelu6 };

struct StepDescription {
  std::string convolution, norm;  // parameter prefixes: "layer1.0.conv1", "layer1.0.bn1"
  std::int64_t in = 0, out = 0, kernel = 1, stride = 1, groups = 1;
  Activation activation = Activation::kNone;  // after the norm
};

enum class Shortcut {
  kNone,
  kIdentity,
  kProjection,  // its own convolution and norm
  kPad          // option A of He et al. 2016: every second pixel, zero channels on both sides
};

struct UnitDescription {
  std::string name;  // "layer1.0"
  std::vector<StepDescription> path;
  Shortcut shortcut = Shortcut::kNone;
  StepDescription projection;
  Activation activation = Activation::kNone;  // after the sum
};

struct CnnDescription {
  NetworkInfo info;
  Json normal_form;  // the configuration, as config.json holds it
  double eps = 1e-5;
  StepDescription stem;
  bool max_pool = false;  // 3x3, stride 2 after the stem
  std::vector<UnitDescription> units;
  std::int64_t features = 0;
  std::string classifier;  // "fc"
};

std::unique_ptr<Network> make_cnn(CnnDescription description, bool allocate);

}  // namespace assay::models
