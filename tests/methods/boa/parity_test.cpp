// The release of BoA on recorded moments and models; tolerances as stated with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/base/atomic_file.h"
#include "methods/boa/method.h"

namespace assay::boa {
namespace {

constexpr double kDeadValue = 1.0 / 128;

Json records() {
  const std::string file = (parity_folder() / "llm/boa/case.json").string();
  return parse_json(read_file(file), file)["results"]["boa"];
}

// "layers.0.self_attn.k_proj" and "H_col"; undefined: not recorded. Keys share the columns of
// queries.
at::Tensor recorded_moment(const models::TensorMap& recorded, std::string layer,
                           const std::string& matrix) {
  const std::size_t keys = layer.find("k_proj");
  if (matrix == "H_col" && keys != std::string::npos) layer.replace(keys, 6, "q_proj");
  const auto found = recorded.find(layer + "." + matrix);
  return found == recorded.end() ? at::Tensor() : found->second;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / wide.norm()).item<double>();
}

class BoaModels : public ::testing::TestWithParam<std::string> {
 protected:
  static ModelOptions options_of(const std::string& name) {
    const bool ordered = name.ends_with("_col_row");
    return {.layer = {.bits = name[name.find("_w") + 2] - '0',
                      .act_order_columns = ordered,
                      .act_order_rows = ordered,
                      .dead_value = kDeadValue}};
  }
};

TEST_P(BoaModels, whole_models) {
  ASSAY_NEEDS_PARITY_DATA();
  const std::string name = GetParam(), model = name.substr(0, name.find('_'));
  const Json record = records()[name];
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const ModelOptions options = options_of(name);
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const std::unique_ptr<models::Network> network = parity_language_model(model, type);
    const quant::BlockWalkResult result = quant::quantize_blocks(
        *network, calibration, quant::two_sided_quantizer(*network, options.layer, false),
        {.method = "boa", .sequential = sequential_options(options)});
    const models::TensorMap twin = parity_tensors(
        "llm/boa/model_" + name + (type == at::kDouble ? "_f64" : "") + ".safetensors");
    const Agreement agreed = agreement(result.model, twin, layer_prefix(model), 1e-5);
    const bool wide = type == at::kDouble;
    EXPECT_GE(agreed.codes, wide ? 0.999 : 0.995);
    EXPECT_GE(agreed.scales, 0.99);
    EXPECT_NEAR(parity_nll(*network), record[wide ? "nll_f64" : "nll"].get<double>(),
                wide ? 1e-5 : 0.01);
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, BoaModels,
                         ::testing::Values("opt-tiny_w2", "opt-tiny_w3", "opt-tiny_w4",
                                           "opt-tiny_w3_col_row", "llama-tiny_w2", "llama-tiny_w3",
                                           "llama-tiny_w4", "llama-tiny_w3_col_row"));

TEST(BoaParity, moments_and_first_block) {
  ASSAY_NEEDS_PARITY_DATA();
  for (const std::string model : {"opt-tiny", "llama-tiny"}) {
    const models::TensorMap recorded =
        parity_tensors("llm/boa/hessian_" + model + "_w3.safetensors");
    const models::TensorMap twin = parity_tensors("llm/boa/model_" + model + "_w3_f64.safetensors");
    const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
    const std::unique_ptr<models::Network> network = parity_language_model(model, at::kFloat);
    const ModelOptions options{.layer = {.bits = 3, .dead_value = kDeadValue}};
    const quant::LayersQuantizer quantize =
        quant::two_sided_quantizer(*network, options.layer, false);
    int compared = 0;
    quant::SequentialOptions sequential = sequential_options(options);
    sequential.chunk = 1;
    quant::SequentialHooks hooks;
    hooks.quantize = [&](const std::vector<quant::LayerMoments>& layers) {
      for (const quant::LayerMoments& each : layers) {
        const std::string name = each.layer.name.substr(layer_prefix(model).size());
        const at::Tensor column = recorded_moment(recorded, name, "H_col");
        ASSERT_TRUE(column.defined()) << name;
        EXPECT_LT(relative(each.column, column), 1e-5) << name;
        const at::Tensor row = recorded_moment(recorded, name, "H_row");
        ASSERT_EQ(each.row.defined(), row.defined()) << name;
        if (row.defined()) {
          EXPECT_LT(relative(each.row, row), 1e-5) << name;
        }
        ++compared;
        if (each.layer.unit > 0) continue;
        // Codes of the first block from the recorded moments.
        const at::Tensor& weight = network->parameters().at(each.layer.name + ".weight");
        quant::LayerMoments moments{.layer = each.layer, .column = column.to(at::kDouble)};
        if (row.defined()) moments.row = row.to(at::kDouble);
        const quant::LayerResult given =
            quant::quantize_two_sided(weight.to(at::kDouble), moments, options.layer);
        EXPECT_EQ(equal_part(given.layer.code, twin.at(name + ".codes")), 1) << name;
        EXPECT_TRUE(
            given.layer.grid.scale.allclose(twin.at(name + ".scale").to(at::kDouble), 1e-9, 0))
            << name;
        EXPECT_TRUE(given.layer.grid.zero.equal(twin.at(name + ".zero").to(at::kDouble))) << name;
      }
      for (auto& [name, result] : quantize(layers)) {
        network->parameters().at(name + ".weight") = result.weight;
      }
    };
    quant::quantize_sequentially(*network, calibration, sequential, hooks);
    EXPECT_EQ(compared, model == "opt-tiny" ? 12 : 14);
  }
}

}  // namespace
}  // namespace assay::boa
