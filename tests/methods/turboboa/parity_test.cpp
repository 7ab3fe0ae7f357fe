// The release of TurboBoA on recorded moments and models; tolerances as stated with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/base/atomic_file.h"
#include "methods/turboboa/method.h"

namespace assay::turboboa {
namespace {

Json records() {
  const std::string file = (parity_folder() / "llm/boa/case.json").string();
  return parse_json(read_file(file), file)["results"]["turboboa"];
}

// "opt-tiny_w3_n4_dx_refine"
ModelOptions options_of(const std::string& name) {
  ModelOptions options;
  options.layer.bits = name[name.find("_w") + 2] - '0';
  options.layer.rows_per_step = name[name.find("_n") + 2] - '0';
  options.layer.dead_value = 1.0 / 128;
  options.layer.alpha = name.find("_dx") != std::string::npos ? 0.25 : 0;
  options.layer.refine_sweeps = name.ends_with("_refine") ? 1 : 0;
  return options;
}

class TurboBoaModels : public ::testing::TestWithParam<std::string> {};

TEST_P(TurboBoaModels, whole_models) {
  ASSAY_NEEDS_PARITY_DATA();
  const std::string name = GetParam(), model = name.substr(0, name.find('_'));
  const Json record = records()[name];
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const ModelOptions options = options_of(name);
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const bool wide = type == at::kDouble;
    if (wide && !record.contains("nll_f64")) continue;  // recorded in float32 only
    const std::unique_ptr<models::Network> network = parity_language_model(model, type);
    const quant::BlockWalkResult result = quant::quantize_blocks(
        *network, calibration, quant::two_sided_quantizer(*network, options.layer, false),
        {.method = "turboboa", .sequential = sequential_options(options)});
    const models::TensorMap twin =
        parity_tensors("llm/boa/turboboa_model_" + name + (wide ? "_f64" : "") + ".safetensors");
    const Agreement agreed = agreement(result.model, twin, layer_prefix(model), 1e-5);
    EXPECT_GE(agreed.codes, wide ? 0.999 : 0.995) << wide;
    EXPECT_GE(agreed.scales, 0.99) << wide;
    EXPECT_NEAR(parity_nll(*network), record[wide ? "nll_f64" : "nll"].get<double>(),
                wide ? 1e-4 : 0.01);
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, TurboBoaModels,
                         ::testing::Values("opt-tiny_w3_n1", "opt-tiny_w3_n4",
                                           "opt-tiny_w3_n4_dx_refine", "llama-tiny_w3_n4",
                                           "llama-tiny_w3_n4_dx_refine"));

TEST(TurboBoaParity, errors_of_the_inputs) {
  ASSAY_NEEDS_PARITY_DATA();
  const models::TensorMap recorded =
      parity_tensors("llm/boa/turboboa_hessian_opt-tiny_w3_n4_dx_refine.safetensors");
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const std::unique_ptr<models::Network> network = parity_language_model("opt-tiny", at::kFloat);
  const ModelOptions options = options_of("opt-tiny_w3_n4_dx_refine");
  const quant::LayersQuantizer quantize =
      quant::two_sided_quantizer(*network, options.layer, false);
  quant::SequentialOptions sequential = sequential_options(options);
  sequential.chunk = 1;
  int compared = 0;
  quant::SequentialHooks hooks;
  hooks.quantize = [&](const std::vector<quant::LayerMoments>& layers) {
    for (const quant::LayerMoments& each : layers) {
      const std::string name = each.layer.name.substr(layer_prefix("opt-tiny").size());
      for (const auto& [matrix, ours] :
           {std::pair(".dXXT", each.upstream), std::pair(".H_in", each.column),
            std::pair(".H_out", each.row)}) {
        const auto found = recorded.find(name + matrix);
        if (found == recorded.end()) continue;
        ++compared;
        const at::Tensor expected = found->second.to(at::kDouble);
        const double size = expected.norm().item<double>();
        const double difference = (ours.to(at::kDouble) - expected).norm().item<double>();
        // In the first block both networks see the same inputs.
        if (size < 1e-6) {
          EXPECT_LT(difference, 1e-5) << name << matrix;
        } else {
          EXPECT_LT(difference / size, 1e-4) << name << matrix;
        }
      }
    }
    for (auto& [name, result] : quantize(layers)) {
      network->parameters().at(name + ".weight") = result.weight;
    }
  };
  quant::quantize_sequentially(*network, calibration, sequential, hooks);
  EXPECT_EQ(compared, static_cast<int>(recorded.size()));
}

}  // namespace
}  // namespace assay::turboboa
