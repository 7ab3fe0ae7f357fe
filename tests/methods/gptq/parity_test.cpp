// The release of GPTQ on recorded layers and models; tolerances as stated with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "harness/base/atomic_file.h"
#include "methods/gptq/method.h"
#include "methods/quant/factor.h"
#include "methods/quant/sequential.h"

namespace assay::gptq {
namespace {

// "w3_g32_act_asym_static" as options.
Options options_of(const std::string& name) {
  return {.bits = name[1] - '0',
          .group = name.find("_g32") != std::string::npos ? 32 : -1,
          .symmetric = name.find("_sym") != std::string::npos,
          .static_groups = name.find("_static") != std::string::npos,
          .act_order = name.find("_act_") != std::string::npos};
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / wide.norm()).item<double>();
}

// Whether every row that differs from the recorded codes first differs where its compensated weight
// is half-way between two codes, with dynamic groups of 32.
bool rows_part_only_at_ties(const at::Tensor& weight, const at::Tensor& hessian,
                            const Options& options, const at::Tensor& recorded) {
  const at::Tensor h = hessian.to(at::kDouble);
  const at::Tensor damped = quant::with_damping(quant::with_dead_repaired(h, 1), 0.01);
  const at::Tensor order = options.act_order ? at::argsort(at::diagonal(damped), true, 0, true)
                                             : at::arange(h.size(0), at::kLong);
  const at::Tensor alive = weight.to(at::kDouble).masked_fill(quant::dead_inputs(h), 0);
  const at::Tensor factor =
      quant::inverse_factor(damped.index_select(0, order).index_select(1, order), "recorded layer");
  const quant::GridOptions groups{.bits = options.bits,
                                  .granularity = quant::Granularity::kGroup,
                                  .group = 32,
                                  .symmetric = options.symmetric};
  const quant::ColumnResult ours =
      quant::gptq_columns(alive.index_select(1, order), factor, {}, {.dynamic = groups});
  const at::Tensor theirs = recorded.index_select(1, order).to(at::kDouble);
  for (std::int64_t row = 0; row < weight.size(0); ++row) {
    const at::Tensor differing = at::nonzero(ours.code[row].ne(theirs[row]));
    if (differing.numel() == 0) continue;
    const std::int64_t column = differing[0][0].item<std::int64_t>();
    const double position = ours.compensated[row][column].item<double>() /
                            ours.grid.scale[row][column / 32].item<double>();
    if (std::fabs(position - std::floor(position) - 0.5) > 1e-5) return false;
  }
  return true;
}

Json case_file() {
  const std::string file = (parity_folder() / "llm/gptq/case.json").string();
  return parse_json(read_file(file), file)["results"];
}

TEST(GptqParity, layers_with_every_option) {
  ASSAY_NEEDS_PARITY_DATA();
  const models::TensorMap single = parity_tensors("llm/gptq/layers.safetensors");
  const models::TensorMap twin = parity_tensors("llm/gptq/layers_f64.safetensors");
  const Json results = case_file()["layers"];
  int compared = 0;
  for (const auto& item : results.items()) {
    const std::string& name = item.key();
    const std::size_t cut = name.rfind('/');
    const std::string layer = name.substr(0, cut + 1);
    const Options options = options_of(name.substr(cut + 1));
    const at::Tensor weight = single.at(layer + "W"), hessian = single.at(layer + "H");
    const quant::LayerResult wide =
        quantize_layer(weight.to(at::kDouble), hessian.to(at::kDouble), options, name);
    const at::Tensor& codes = twin.at(name + "/codes");
    const double self = item.value()["codes_equal_float32_vs_float64"].get<double>();
    if (options.symmetric && options.group >= 0) {
      // The largest weight of a symmetric group lies on a tie of its own grid, so bits that no
      // implementation shares decide some rows.
      EXPECT_GE(equal_part(wide.layer.code, codes), self - 0.005) << name;
      EXPECT_TRUE(rows_part_only_at_ties(weight, hessian, options, codes)) << name;
    } else {
      EXPECT_GE(equal_part(wide.layer.code, codes), 0.999) << name;
      EXPECT_NEAR(wide.loss / item.value()["loss"].get<double>(), 1, 1e-3) << name;
    }
    const quant::LayerResult narrow = quantize_layer(weight, hessian, options, name);
    EXPECT_GE(equal_part(narrow.layer.code, single.at(name + "/codes")), self - 0.005) << name;
    if (options.group < 0 || options.static_groups) {
      EXPECT_TRUE(narrow.layer.grid.scale.equal(single.at(name + "/scale"))) << name;
      EXPECT_TRUE(narrow.layer.grid.zero.equal(single.at(name + "/zero"))) << name;
    }
    ++compared;
  }
  EXPECT_EQ(compared, 78);
}

class GptqModels : public ::testing::TestWithParam<std::string> {};

TEST_P(GptqModels, whole_models) {
  ASSAY_NEEDS_PARITY_DATA();
  const std::string name = GetParam(), model = name.substr(0, name.find('_'));
  const int bits = name.back() - '0';
  const Json record = case_file()["models"][name];
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const bool loose = name == "opt-tiny_w2";
  for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
    const std::unique_ptr<models::Network> network = parity_language_model(model, type);
    const quant::BlockWalkResult result = quant::quantize_blocks(
        *network, calibration, layers_quantizer(*network, {.bits = bits}),
        {.method = "gptq", .sequential = {.unit = quant::MomentUnit::kSequence}});
    if (type == at::kDouble) {
      const models::TensorMap twin = parity_tensors("llm/gptq/model_" + name + "_f64.safetensors");
      double equal = 0, all = 0;
      for (const auto& [layer, quantized] : result.model.layers) {
        const at::Tensor expected = twin.at(layer.substr(layer_prefix(model).size()) + ".codes");
        equal += equal_part(quantized.code, expected) * static_cast<double>(expected.numel());
        all += static_cast<double>(expected.numel());
      }
      EXPECT_GE(equal / all, 0.999);
      EXPECT_NEAR(parity_nll(*network), record["nll_f64"].get<double>(), 1e-5);
    } else {
      EXPECT_NEAR(parity_nll(*network), record["nll"].get<double>(), loose ? 0.02 : 0.01);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, GptqModels,
                         ::testing::Values("opt-tiny_w2", "opt-tiny_w3", "opt-tiny_w4",
                                           "llama-tiny_w2", "llama-tiny_w3", "llama-tiny_w4"));

TEST(GptqParity, moments_of_every_layer) {
  ASSAY_NEEDS_PARITY_DATA();
  for (const std::string model : {"opt-tiny", "llama-tiny"}) {
    const models::TensorMap recorded =
        parity_tensors("llm/gptq/hessian_" + model + "_w3.safetensors");
    const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
    const std::unique_ptr<models::Network> network = parity_language_model(model, at::kFloat);
    std::size_t compared = 0;
    quant::SequentialHooks hooks;
    hooks.quantize = [&](const std::vector<quant::LayerMoments>& layers) {
      for (const quant::LayerMoments& each : layers) {
        const std::string& name = each.layer.name;
        const at::Tensor& expected = recorded.at(name.substr(layer_prefix(model).size()) + ".H");
        EXPECT_LT(relative(each.column, expected), 1e-5) << name;
        at::Tensor& weight = network->parameters().at(name + ".weight");
        weight = quantize_layer(weight, each.column, {.bits = 3}, name).weight;
        ++compared;
      }
    };
    quant::quantize_sequentially(*network, calibration, {.unit = quant::MomentUnit::kSequence},
                                 hooks);
    EXPECT_EQ(compared, recorded.size());
  }
}

}  // namespace
}  // namespace assay::gptq
