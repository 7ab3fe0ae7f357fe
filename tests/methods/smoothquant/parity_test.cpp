// The release of SmoothQuant on recorded maxima, weights, logits and models; tolerances as stated
// with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/base/atomic_file.h"
#include "methods/smoothquant/method.h"

namespace assay::smoothquant {
namespace {

Json records() {
  const std::string file = (parity_folder() / "llm/smoothquant/case.json").string();
  return parse_json(read_file(file), file)["results"];
}

// As `network`, with quantizers of activations.
class Tapped : public models::Network {
 public:
  Tapped(const models::Network& inner, models::Tap& own) : inner_(inner), own_(own) {}

  const models::NetworkInfo& info() const override { return inner_.info(); }
  const Json& configuration() const override { return inner_.configuration(); }
  at::Tensor embed(const at::Tensor& input, models::Tap&) const override {
    return inner_.embed(input, own_);
  }
  std::int64_t unit_count() const override { return inner_.unit_count(); }
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, models::Tap&) const override {
    return inner_.unit(index, hidden, own_);
  }
  at::Tensor head(const at::Tensor& hidden, models::Tap&) const override {
    return inner_.head(hidden, own_);
  }
  std::vector<models::Layer> layers() const override { return inner_.layers(); }
  std::vector<std::string> sites() const override { return inner_.sites(); }

 private:
  const models::Network& inner_;
  models::Tap& own_;
};

class SmoothQuantModels : public ::testing::TestWithParam<std::string> {};

TEST_P(SmoothQuantModels, maxima_weights_and_every_configuration) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const std::string model = GetParam();
  const Json record = records()[model];
  const models::TensorMap recorded = parity_tensors("llm/smoothquant/smoothquant.safetensors");
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const std::unique_ptr<models::Network> original = parity_language_model(model, at::kFloat);
  models::Untapped none;
  const Maxima maxima = channel_maxima(*original, calibration, none, {});
  for (const models::Layer& layer : original->layers()) {
    const at::Tensor expected = recorded.at(model + "/act_absmax/" + layer.name);
    // A channel behind ReLU may be nearly dead: its maximum is a rounding error then.
    const double floor = 1e-6 * expected.max().item<double>();
    EXPECT_TRUE(maxima.at(layer.input_site).allclose(expected, 1e-5, floor)) << layer.name;
  }
  int configurations = 0, weights = 0;
  for (const auto& item : record.items()) {
    const std::string& name = item.key();
    if (!name.starts_with("smooth_w-")) continue;
    const Options options{.weights = name.find("w-per_tensor") != std::string::npos
                                         ? quant::Granularity::kTensor
                                         : quant::Granularity::kChannel,
                          .scheme = name.find("a-per_tensor") != std::string::npos
                                        ? quant::ActivationScheme::kTensorDynamic
                                        : quant::ActivationScheme::kToken,
                          .quantize_bmm = name.ends_with("bmm-1")};
    const std::unique_ptr<models::Network> network = parity_language_model(model, at::kFloat);
    const quant::QuantizedModel made = smooth(*network, maxima, options);
    for (const auto& [parameter, slot] : network->parameters().slots()) {
      const auto found = recorded.find(model + "/smoothed/" + parameter);
      if (found == recorded.end()) continue;
      EXPECT_TRUE(slot->allclose(found->second, 1e-5, 1e-9)) << parameter;
      ++weights;
    }
    for (const auto& [layer, quantized] : made.layers) {
      quant::apply_layer(layer, quantized, *network);
      if (options.weights != quant::Granularity::kChannel) continue;
      const auto found = recorded.find(model + "/w8_fake/" + layer + ".weight");
      if (found == recorded.end()) continue;
      const at::Tensor near =
          network->parameters().at(layer + ".weight").isclose(found->second, 1e-5);
      EXPECT_GE(near.to(at::kDouble).mean().item<double>(), 0.999) << layer;
      ++weights;
    }
    quant::ActivationTap tap(made.activations);
    EXPECT_NEAR(parity_nll(Tapped(*network, tap)), item.value().get<double>(), 2e-3) << name;
    const auto logits = recorded.find(model + "/logits/" + name);
    if (logits != recorded.end()) {
      const at::Tensor row = recorded.at("test_row0").reshape({1, -1}).to(at::kLong);
      const at::Tensor ours = network->forward(row, tap).reshape_as(logits->second);
      EXPECT_LT(largest_difference(ours, logits->second),
                0.02 * logits->second.abs().max().item<double>())
          << name;
    }
    ++configurations;
  }
  EXPECT_EQ(configurations, 5);
  EXPECT_GT(weights, 20);
}

INSTANTIATE_TEST_SUITE_P(Recorded, SmoothQuantModels, ::testing::Values("opt-tiny", "llama-tiny"));

// The release's int8 export: largest |x| / 127 of a site.
TEST(SmoothQuantParity, static_scales) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const models::TensorMap recorded = parity_tensors("llm/smoothquant/smoothquant.safetensors");
  const at::Tensor calibration = parity_tensors("llm/models/tokens.safetensors").at("calib");
  const std::unique_ptr<models::Network> network = parity_language_model("opt-tiny", at::kFloat);
  models::Untapped none;
  const Maxima maxima = channel_maxima(*network, calibration, none, {});
  const std::map<std::string, std::string> sites = {
      {"attn_input_scale", "attn.q.in"},  {"q_output_scale", "attn.q.out"},
      {"k_output_scale", "attn.k.out"},   {"v_output_scale", "attn.v.out"},
      {"out_input_scale", "attn.out.in"}, {"fc1_input_scale", "mlp.fc1.in"},
      {"fc2_input_scale", "mlp.fc2.in"}};
  const std::string prefix = "opt-tiny/static_scale/layers.";
  int compared = 0;
  for (const auto& [name, value] : recorded) {
    if (!name.starts_with(prefix)) continue;
    const std::size_t dot = name.find('.', prefix.size());
    const std::string unit = name.substr(prefix.size(), dot - prefix.size());
    const std::string site = "blocks." + unit + "." + sites.at(name.substr(dot + 1));
    const double ours = maxima.at(site).max().item<double>() / 127;
    EXPECT_NEAR(ours / value.item<double>(), 1, 1e-5) << name;
    ++compared;
  }
  EXPECT_EQ(compared, 14);
}

}  // namespace
}  // namespace assay::smoothquant
