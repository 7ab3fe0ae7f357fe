#pragma once

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/method.h"
#include "methods/quant/canary.h"
#include "methods/quant/quantized_model.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

// What every method must do that quantizes weights block by block, on the tiny OPT network.

namespace assay {

class WeightsOnlyStage {
 public:
  // `base`: parameters that make the method short, or show its options, on so small a network.
  explicit WeightsOnlyStage(Method method, Json base = Json::object())
      : method_(std::move(method)), base_(std::move(base)) {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 11).to(at::kInt)}});
  }

  Json parameters(const Json& given, int weight_bits, int activation_bits = 16) const {
    Json all = base_;
    if (given.is_object()) all.update(given);
    return parameters_of(method_.declaration, all, weight_bits, activation_bits);
  }

  Json run(FakeContext& context, const quant::ModelLoader& loader = opt) const {
    context.inputs["tokens"] = tokens_.path();
    return body_of(implementations(method_, loader), method_.declaration.network)(context);
  }

  static std::unique_ptr<models::Network> opt(StageContext&) {
    return quant::canary_network("opt");
  }
  static std::string codes(FakeContext& context) {
    return read_file(context.output() / "codes.safetensors");
  }

  void expect_same_bytes_after_a_stop() const {
    FakeContext whole(parameters({}, 3)), broken(parameters({}, 3));
    run(whole);
    EXPECT_EQ(whole.checkpoints, (std::vector<std::int64_t>{1, 2}));
    broken.stop_at_checkpoint = 1;
    EXPECT_THAT(testing::refusal([&] { run(broken); }),
                ::testing::HasSubstr("lost: stopped after 1 of 2 blocks"));
    broken.stop = false, broken.stop_at_checkpoint = -1;
    run(broken);
    EXPECT_EQ(broken.checkpoints, (std::vector<std::int64_t>{1, 2}));
    EXPECT_TRUE(codes(broken) == codes(whole));
    EXPECT_EQ(read_file(broken.output() / "losses.json"),
              read_file(whole.output() / "losses.json"));
  }

  void expect_a_stop_is_heard_between_chunks() const {
    FakeContext context(parameters({}, 3));
    context.stop_after = 3;
    EXPECT_THAT(testing::refusal([&] { run(context); }),
                ::testing::HasSubstr("lost: stopped in the middle of a pass"));
    EXPECT_TRUE(context.checkpoints.empty());
  }

  void expect_every_option_moves_the_codes(const std::vector<Json>& options) const {
    FakeContext defaults(parameters({}, 2));
    run(defaults);
    for (const Json& given : options) {
      FakeContext context(parameters(given, 2));
      run(context);
      const std::unique_ptr<models::Network> network = opt(context);
      quant::apply_quantized(*network, context.output());
      EXPECT_TRUE(network->forward(quant::canary_inputs(*network, 2)).isfinite().all().item<bool>())
          << given;
      EXPECT_TRUE(codes(context) != codes(defaults)) << given;
    }
  }

  // In float64, where no processor's rounding decides a code. Raise the stage's revision when these
  // numbers move on purpose.
  void expect_golden(int revision, const Json& given, std::int64_t sum_of_codes,
                     double layer_loss) const {
    EXPECT_EQ(method_.stages.front().declaration.revision, revision);
    FakeContext context(parameters(given, 3));
    const Json result = run(context, [](StageContext& stage) {
      std::unique_ptr<models::Network> network = opt(stage);
      network->to(at::kDouble);
      return quant::MethodNetwork(std::move(network));
    });
    std::int64_t sum = 0;
    for (const auto& [name, layer] : quant::load_quantized(context.output()).layers) {
      sum += layer.code.sum(at::kLong).item<std::int64_t>();
    }
    EXPECT_EQ(sum, sum_of_codes);
    EXPECT_NEAR(result["metrics"]["layer_loss"].get<double>(), layer_loss, 1e-6 * layer_loss);
  }

  void expect_activations_are_left_to_others() const {
    FakeContext context(parameters({}, 3, 8));
    EXPECT_THAT(testing::refusal([&] { run(context); }),
                ::testing::HasSubstr("unsupported: " + method_.declaration.name +
                                     " quantizes weights only"));
  }

  void expect_config_refusal(const Json& given, const std::string& message) const {
    FakeContext context(parameters(given, 3));
    EXPECT_THAT(testing::refusal([&] { run(context); }),
                ::testing::HasSubstr("config: " + message));
  }

 private:
  Method method_;
  Json base_;
  TemporaryFolder tokens_;
};

}  // namespace assay
