// The factors that Z-Fold finds on recorded trained models.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "methods/zfold/layers.h"

namespace assay::zfold {
namespace {

TEST(ZFoldParity, factors_of_trained_models_are_positive) {  // T12
  ASSAY_NEEDS_PARITY_DATA();
  for (const std::string model : {"opt-tiny", "llama-tiny"}) {
    const std::unique_ptr<models::Network> network = parity_language_model(model, at::kDouble);
    const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
    double lowest = 1, highest = 1;
    const quant::BlockWalkResult made = quant::quantize_blocks(
        *network, calibration,
        [&](const std::vector<quant::LayerMoments>& layers) {
          return quantize_layers(*network, layers, {.bits = 3});
        },
        {.method = "zfold", .sequential = {.unit = quant::MomentUnit::kSequence}});
    for (const auto& [name, layer] : made.model.layers) {
      if (!layer.grid.zeta.defined()) continue;
      lowest = std::min(lowest, layer.grid.zeta.min().item<double>());
      highest = std::max(highest, layer.grid.zeta.max().item<double>());
    }
    EXPECT_GT(lowest, 0.21) << model;
    EXPECT_LT(lowest, 0.9) << model << ": there is something to fold";
    EXPECT_LT(highest, 1.63) << model;
  }
}

}  // namespace
}  // namespace assay::zfold
