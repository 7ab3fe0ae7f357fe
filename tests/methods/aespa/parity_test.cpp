// The release of aespa on recorded moments, steps and models; tolerances as stated with the
// records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "harness/base/atomic_file.h"
#include "methods/aespa/method.h"
#include "methods/aespa/rounding.h"
#include "methods/quant/factor.h"

namespace assay::aespa {
namespace {

constexpr std::int64_t kIterations = 500;  // of the records

Json records() {
  const std::string file = (parity_folder() / "llm/aespa/case.json").string();
  return parse_json(read_file(file), file)["results"];
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide = b.to(at::kDouble);
  return ((a.to(at::kDouble) - wide).norm() / wide.norm()).item<double>();
}

struct Quantized {
  quant::BlockWalkResult result;
  double nll = 0;
};

Quantized run_model(const std::string& model, at::ScalarType type, const Options& options) {
  const std::unique_ptr<models::Network> network = parity_language_model(model, type);
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  Quantized run;
  run.result = quant::quantize_blocks(*network, calibration,
                                      [&](const std::vector<quant::LayerMoments>& layers) {
                                        return quantize_layers(*network, layers, options, {});
                                      },
                                      {.method = "aespa", .sequential = sequential_options(true)});
  run.nll = parity_nll(*network);
  return run;
}

// Whether Z-Fold kept the recorded number of rounds in every layer: then zeta is the recorded one but
// for rounding.
bool same_rounds(const quant::QuantizedModel& model, const models::TensorMap& recorded,
                 const std::string& prefix) {
  for (const auto& [layer, quantized] : model.layers) {
    if (!quantized.grid.zeta.defined()) continue;
    const at::Tensor zeta = recorded.at(layer.substr(prefix.size()) + ".zeta").reshape({-1});
    if (!quantized.grid.zeta.allclose(zeta, 1e-3, 0)) return false;
  }
  return true;
}

// In float32 the end of Z-Fold is decided by the rounding of one processor's products: in the
// record by those of the search itself, here by those of the network's passes alone. A run that
// stops elsewhere is another run: its perplexity is then held to what the rounds that differ may
// change, as by the records themselves (float32 against float64).
void expect_float32_perplexity(const std::string& name, const Options& options) {
  const std::string model = name.substr(0, name.find('_'));
  const Quantized run = run_model(model, at::kFloat, options);
  const bool same = same_rounds(run.result.model,
                                parity_tensors("llm/aespa/model_" + name + ".safetensors"),
                                layer_prefix(model));
  const bool two_bits = options.bits == 2;
  const double tolerance = two_bits ? 0.03 : same ? 0.01 : 0.02;
  EXPECT_NEAR(run.nll, records()[name]["nll"].get<double>(), tolerance)
      << name << (same ? "" : ", Z-Fold stopped elsewhere");
  if (!same) {
    std::printf("%s: Z-Fold stopped elsewhere than in the record, NLL %+.4f\n", name.c_str(),
                run.nll - records()[name]["nll"].get<double>());
  }
}

class AespaModels : public ::testing::TestWithParam<std::string> {};

TEST_P(AespaModels, whole_models) {
  ASSAY_NEEDS_PARITY_DATA();
  const std::string name = GetParam(), model = name.substr(0, name.find('_'));
  const Json record = records()[name];
  const int bits = name[name.find("_w") + 2] - '0';
  const Options options{
      .bits = bits, .learn_rounding = !name.ends_with("_noround"), .iterations = kIterations};
  const Quantized wide = run_model(model, at::kDouble, options);
  const Agreement agreed =
      agreement(wide.result.model, parity_tensors("llm/aespa/model_" + name + "_f64.safetensors"),
                layer_prefix(model), 1e-8);
  EXPECT_GE(agreed.codes, 0.995);
  EXPECT_GE(agreed.scales, 0.995);
  EXPECT_NEAR(wide.nll, record["nll_f64"].get<double>(), bits == 2 ? 0.03 : 0.01);
  expect_float32_perplexity(name, options);
}

INSTANTIATE_TEST_SUITE_P(Recorded, AespaModels,
                         ::testing::Values("opt-tiny_w2", "opt-tiny_w3", "opt-tiny_w4",
                                           "opt-tiny_w3_noround", "llama-tiny_w2", "llama-tiny_w3",
                                           "llama-tiny_w4", "llama-tiny_w3_noround"));

// Recorded in float32 only.
TEST(AespaParity, variants_by_perplexity) {
  ASSAY_NEEDS_PARITY_DATA();
  const Json all = records();
  for (const std::string name :
       {"opt-tiny_w3_nofold", "opt-tiny_w3_it2000", "llama-tiny_w3_it2000"}) {
    const Options options{.bits = 3,
                          .zfold = !name.ends_with("_nofold"),
                          .iterations = name.ends_with("_it2000") ? 2000 : kIterations};
    expect_float32_perplexity(name, options);
  }
}

class AespaSteps : public ::testing::TestWithParam<std::string> {
 protected:
  // Each step from the recorded input of that step, in double.
  void SetUp() override {
    if (!std::filesystem::exists(parity_folder())) return;
    model_ = GetParam();
    stages_ = parity_tensors("llm/aespa/stages_" + model_ + "_w3.safetensors");
    grids_ = parity_tensors("llm/aespa/model_" + model_ + "_w3.safetensors");
    network_ = parity_language_model(model_, at::kDouble);
  }

  at::Tensor moments_of(std::string layer) const {
    const std::size_t keys = layer.find("k_proj");
    if (keys != std::string::npos) layer.replace(keys, 6, "q_proj");
    return stages_.at(layer + ".H").to(at::kDouble);
  }

  LayerState state_of(const std::string& layer) const {
    const auto row = stages_.find(layer + ".cov_G");
    quant::LayerMoments moments{
        .layer = {.name = layer_prefix(model_) + layer},
        .column = moments_of(layer),
        .row = row == stages_.end() ? at::Tensor() : row->second.to(at::kDouble)};
    LayerState state = start_layer(
        moments, network_->parameters().at(moments.layer.name + ".weight"), {.bits = 3});
    const auto by_head = [&](const char* name) {
      return grids_.at(layer + name).to(at::kDouble).reshape_as(state.grid.scale);
    };
    state.grid.scale = by_head(".scale");
    state.grid.zero = by_head(".zero");
    state.grid.zeta = grids_.at(layer + ".zeta").to(at::kDouble).reshape({-1});
    state.attention = layer.find("q_proj") != std::string::npos ||
                      layer.find("k_proj") != std::string::npos ||
                      layer.find("v_proj") != std::string::npos;
    return state;
  }

  std::string model_;
  models::TensorMap stages_, grids_;
  std::unique_ptr<models::Network> network_;
};

TEST_P(AespaSteps, moments_and_start_grids) {
  ASSAY_NEEDS_PARITY_DATA();
  const std::unique_ptr<models::Network> network = parity_language_model(model_, at::kFloat);
  const Options options{.bits = 3, .iterations = kIterations};
  int compared = 0;
  quant::SequentialOptions sequential = sequential_options(true);
  sequential.chunk = 1;
  quant::SequentialHooks hooks;
  hooks.quantize = [&](const std::vector<quant::LayerMoments>& layers) {
    for (const quant::LayerMoments& each : layers) {
      const std::string name = each.layer.name.substr(layer_prefix(model_).size());
      // Later blocks see what rounding noise decided in the first (Z-Fold's rounds).
      if (each.layer.unit == 0) {
        EXPECT_LT(relative(each.column, moments_of(name)), 1e-5) << name;
        const auto row = stages_.find(name + ".cov_G");
        ASSERT_EQ(each.row.defined(), row != stages_.end()) << name;
        if (each.row.defined()) {
          EXPECT_LT(relative(each.row, row->second), 1e-5) << name;
        }
      }
      const LayerState start =
          start_layer(each, network->parameters().at(each.layer.name + ".weight"), options);
      EXPECT_TRUE(start.grid.scale.reshape({-1, 1}).equal(stages_.at(name + ".scale0"))) << name;
      EXPECT_TRUE(start.grid.zero.reshape({-1, 1}).equal(stages_.at(name + ".zero0"))) << name;
      ++compared;
    }
  };
  quant::quantize_sequentially(
      *network, parity_tensors("llm/models/tokens.safetensors").at("calib"), sequential, hooks);
  EXPECT_EQ(compared, model_ == "opt-tiny" ? 12 : 14);
}

TEST_P(AespaSteps, compensated_weights_and_codes) {
  ASSAY_NEEDS_PARITY_DATA();
  for (const models::Layer& layer : network_->layers()) {
    if (layer.unit >= network_->unit_count() || layer.unit < 0) continue;
    const std::string name = layer.name.substr(layer_prefix(model_).size());
    const LayerState state = state_of(name);
    const at::Tensor ours = compensated_weight(state, {.bits = 3});
    const at::Tensor recorded = stages_.at(name + ".W_update").to(at::kDouble).reshape_as(ours);
    const at::Tensor step = quant::step_of_columns(state.grid, ours.size(-1));
    EXPECT_LT(((ours - recorded) / step).abs().max().item<double>(), 1e-4) << name;
    const at::Tensor code = codes_of(state, recorded, {.bits = 3, .iterations = kIterations}, {});
    const at::Tensor expected = grids_.at(name + ".codes").to(at::kDouble);
    EXPECT_GE(equal_part(code.reshape_as(expected), expected), 0.999) << name;
  }
}

TEST_P(AespaSteps, rounding_variables_on_their_way) {
  ASSAY_NEEDS_PARITY_DATA();
  const models::TensorMap recorded =
      parity_tensors("llm/aespa/rounding_" + model_ + "_w3.safetensors");
  const std::string out = model_ == "opt-tiny" ? "out_proj" : "o_proj";
  for (const std::string& name :
       {std::string("layers.0.self_attn.q_proj"), std::string("layers.0.self_attn.v_proj"),
        "layers.1.self_attn." + out}) {
    const LayerState state = state_of(name);
    const at::Tensor base = stages_.at(name + ".W_update").to(at::kDouble).reshape_as(state.weight);
    const at::Tensor column = state.column.size(0) == 1 ? state.column[0] : state.column;
    const RoundingProblem problem{.weight = state.weight,
                                  .base = base,
                                  .step = quant::step_of_columns(state.grid, state.weight.size(-1)),
                                  .zero = state.grid.zero,
                                  .qmax = 7,
                                  .column = column,
                                  .row = state.row};
    for (const std::int64_t steps : {0, 1, 10, 100, 500}) {
      at::Tensor variable =
          inverse_soft_rounding(base / problem.step - at::floor(base / problem.step));
      if (steps > 0) {
        variable = learn_rounding(
            problem,
            {.iterations = kIterations, .end = steps, .weight = state.attention ? 1.5 : 1.0});
      }
      const at::Tensor expected =
          recorded.at(name + ".B." + std::to_string(steps)).to(at::kDouble).reshape_as(variable);
      const at::Tensor difference = (variable - expected).abs();
      if (steps <= 10) {
        EXPECT_LT(difference.max().item<double>(), 1e-4) << name << " " << steps;
      }
      if (steps == 100) {
        EXPECT_LT(difference.mean().item<double>(), 1e-5) << name;
      }
      if (steps == 500) {
        EXPECT_LT(difference.mean().item<double>(), 1e-3) << name;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Recorded, AespaSteps, ::testing::Values("opt-tiny", "llama-tiny"));

}  // namespace
}  // namespace assay::aespa
