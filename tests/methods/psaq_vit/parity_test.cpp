// The release of PSAQ-ViT on a trained tiny ViT; tolerances as stated with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "harness/base/atomic_file.h"
#include "methods/psaq_vit/method.h"
#include "methods/psaq_vit/synthesis.h"

namespace assay::psaq_vit {
namespace {

std::unique_ptr<models::Network> vit_tiny(at::ScalarType type) {
  const std::filesystem::path folder = parity_folder() / "vision/models";
  const std::string config = (folder / "vit-tiny.json").string();
  Json configuration = parse_json(read_file(config), config);
  configuration["mean"] = {0.485, 0.456, 0.406};
  configuration["std"] = {0.229, 0.224, 0.225};
  std::unique_ptr<models::Network> network = models::make_network("vit", configuration);
  const models::TensorMap tensors = parity_tensors("vision/models/vit-tiny.safetensors");
  for (const auto& [name, slot] : network->parameters().slots()) *slot = tensors.at(name).clone();
  network->to(type);
  return network;
}

SynthesisState state_of(const models::TensorMap& record, const char* images, const char* target,
                        at::ScalarType type) {
  SynthesisState state;
  state.images = record.at(images).to(type);
  state.first = at::zeros_like(state.images);
  state.second = at::zeros_like(state.images);
  state.labels = record.at("y");
  state.tv_target = record.at(target).item<double>();
  return state;
}

double close(double value, const at::Tensor& expected) {
  return value / expected.item<double>() - 1;
}

TEST(PsaqParity, losses_and_gradients) {
  ASSAY_NEEDS_PARITY_DATA();
  for (const std::string name : {"noise", "images", "mixed"}) {
    const models::TensorMap record = parity_tensors("vision/psaq/losses_" + name + ".safetensors");
    for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
      const std::unique_ptr<models::Network> network = vit_tiny(type);
      const bool wide = type == at::kDouble;
      const std::string twin = wide ? "f64/" : "";
      const Synthesizer synthesizer(*network, {.images = 4});
      const SynthesisState state = state_of(record, "images", "tv_target", type);
      at::Tensor gradient;
      const Losses losses = synthesizer.losses(state.images, state, &gradient);
      const double terms = wide ? 1e-9 : 1e-4;
      EXPECT_LT(std::fabs(close(losses.entropy, record.at(twin + "loss_entropy"))),
                wide ? 1e-9 : 1e-3);
      EXPECT_LT(std::fabs(close(losses.cross_entropy, record.at(twin + "loss_onehot"))), terms);
      EXPECT_LT(std::fabs(close(losses.tv, record.at(twin + "tv"))), terms);
      EXPECT_LT(std::fabs(close(losses.variation, record.at(twin + "loss_tv"))), terms);
      EXPECT_LT(std::fabs(close(losses.total, record.at(twin + "total"))), terms);
      const at::Tensor expected = record.at(twin + "grad_total");
      EXPECT_LT(largest_difference(gradient, expected),
                expected.abs().max().item<double>() * (wide ? 1e-9 : 1e-3))
          << name;
    }
  }
}

void follow(const std::string& file, at::ScalarType type, std::int64_t steps) {
  const models::TensorMap record = parity_tensors("vision/psaq/" + file + ".safetensors");
  const std::unique_ptr<models::Network> network = vit_tiny(type);
  const Synthesizer synthesizer(*network, {.images = 4});
  SynthesisState state = state_of(record, "x0", "target", type);
  for (std::int64_t i = 0; i < steps; ++i) {
    const Augmentation draws{.offset = record.at("offset")[i].item<std::int64_t>(),
                             .flip = record.at("flip")[i].item<std::int64_t>() != 0};
    synthesizer.step(state, draws, record.at("lr")[i].item<double>());
    const std::string key = "x." + std::to_string(i + 1);
    if (type == at::kDouble) {
      EXPECT_LT(largest_difference(state.images, record.at("f64/" + key)), 1e-6)
          << file << " " << key;
    } else {
      const at::Tensor near = (state.images - record.at(key)).abs().lt(1e-3);
      EXPECT_GE(near.to(at::kDouble).mean().item<double>(), 0.99) << file << " " << key;
    }
  }
}

TEST(PsaqParity, steps_of_the_official_schedule) {
  ASSAY_NEEDS_PARITY_DATA();
  follow("steps_official_schedule", at::kDouble, 5);
  follow("steps_official_schedule", at::kFloat, 5);
}

TEST(PsaqParity, steps_over_the_switch_of_rounds) {
  ASSAY_NEEDS_PARITY_DATA();
  follow("steps_short_two_rounds", at::kDouble, 7);
  follow("steps_short_two_rounds", at::kFloat, 2);
}

// The record lists the attention logits of a block after its projection.
std::vector<std::string> recorded_order(std::vector<std::string> sites) {
  for (std::size_t i = 0; i + 2 < sites.size(); ++i) {
    if (!sites[i].ends_with("attn.logits")) continue;
    std::rotate(sites.begin() + static_cast<std::ptrdiff_t>(i),
                sites.begin() + static_cast<std::ptrdiff_t>(i + 1),
                sites.begin() + static_cast<std::ptrdiff_t>(i + 3));
    i += 2;
  }
  return sites;
}

class PsaqQuantizer : public ::testing::TestWithParam<std::pair<int, int>> {};

TEST_P(PsaqQuantizer, ranges_scales_codes_and_logits) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const auto [weight_bits, activation_bits] = GetParam();
  const models::TensorMap record =
      parity_tensors("vision/psaq/quant_w" + std::to_string(weight_bits) + "a" +
                     std::to_string(activation_bits) + ".safetensors");
  const at::Tensor images = parity_tensors("vision/images/vit_images.safetensors").at("images");
  const std::unique_ptr<models::Network> network = vit_tiny(at::kFloat);
  const quant::Ranges ranges =
      quant::observe(*network, {images.narrow(0, 32, 32), 32}, network->sites(), {});
  const quant::QuantizedModel model = p1_model(*network, ranges, weight_bits, activation_bits);
  const std::vector<std::string> sites = recorded_order(network->sites());
  ASSERT_EQ(sites.size(), 37u);
  for (std::size_t i = 0; i < sites.size(); ++i) {
    const auto k = static_cast<std::int64_t>(i);
    const quant::ActivationQuantizer& q = model.activations.at(sites[i]);
    EXPECT_LT(std::fabs(close(q.scale, record.at("act_scale")[k])), 1e-6) << sites[i];
    EXPECT_EQ(q.zero, record.at("act_zero")[k].item<double>()) << sites[i];
  }
  for (const auto& [name, layer] : model.layers) {
    EXPECT_TRUE(layer.grid.scale.flatten().allclose(record.at("w_scale." + name), 1e-6, 0)) << name;
    const auto codes = record.find("w_code." + name);
    if (codes == record.end()) continue;
    const at::Tensor ours = layer.code.to(at::kLong) - (1 << (weight_bits - 1));
    EXPECT_TRUE(ours.equal(codes->second.to(at::kLong).reshape(ours.sizes()))) << name;
  }
  const std::unique_ptr<models::Tap> tap = apply(model, *network);
  const at::Tensor logits = network->forward(images.narrow(0, 0, 8), *tap);
  // A flipped code moves a logit by one step of the last site.
  const double step = model.activations.at("head.out").scale;
  EXPECT_LE(largest_difference(logits, record.at("logits_quant")), step + 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Recorded, PsaqQuantizer,
                         ::testing::Values(std::pair{8, 8}, std::pair{4, 8}, std::pair{4, 4}));

}  // namespace
}  // namespace assay::psaq_vit
