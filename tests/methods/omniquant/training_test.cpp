#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "methods/omniquant/unit_quantizer.h"
#include "methods/omniquant/unit_training.h"
#include "methods/quant/sequential.h"
#include "tests/methods/omniquant/plain_omniquant.h"
#include "tests/methods/support/small_networks.h"
#include "tests/support/refusal.h"

namespace assay::omniquant {
namespace {

// Names of the plain program -> parameters of the network.
std::string name_of(const std::string& plain, bool llama) {
  const std::string layer = plain.substr(0, plain.find('.'));
  const std::string kind = plain.ends_with(".w") ? ".weight" : ".bias";
  const std::string block = llama ? "model.layers.0." : "model.decoder.layers.0.";
  if (layer == "norm1") return block + (llama ? "input_layernorm" : "self_attn_layer_norm") + kind;
  if (layer == "norm2") {
    return block + (llama ? "post_attention_layernorm" : "final_layer_norm") + kind;
  }
  if (layer.starts_with("fc")) return block + layer + kind;
  if (layer == "gate" || layer == "up" || layer == "down")
    return block + "mlp." + layer + "_proj" + kind;
  return block + "self_attn." + (llama && layer == "out" ? "o" : layer) + "_proj" + kind;
}

plain::Tensors plain_parameters(const models::Network& network) {
  const bool llama = network.info().family == "llama";
  plain::Tensors all;
  for (const char* layer :
       {"q", "k", "v", "out", "fc1", "fc2", "gate", "up", "down", "norm1", "norm2"}) {
    for (const char* kind : {".w", ".b"}) {
      const std::string name = std::string(layer) + kind;
      if (!network.parameters().contains(name_of(name, llama))) continue;
      all[name] = network.parameters().at(name_of(name, llama));
    }
  }
  return all;
}

// The first unit with inputs that differ from those of the float network.
class FirstUnit {
 public:
  explicit FirstUnit(const std::string& family = "opt", std::int64_t kv_heads = 2)
      : network(small_network(family, kv_heads)) {
    models::Untapped none;
    const at::Tensor tokens = small_tokens(kSequences);
    for (std::int64_t i = 0; i < quant::chunk_count(kSequences, 4); ++i) {
      chunks.push_back(quant::chunk_of(tokens, i, 4));
      float_hidden.push_back(network->embed(chunks.back().rows, none));
      at::manual_seed(static_cast<std::uint64_t>(i));
      hidden.push_back(float_hidden.back() + 0.002 * at::randn_like(float_hidden.back()));
      float_outputs.push_back(network->unit(0, float_hidden.back(), none));
    }
  }

  quant::UnitInputs inputs() {
    return {.unit = 0,
            .chunks = chunks,
            .hidden = hidden,
            .own = none_,
            .between_chunks = [] {},
            .float_hidden = float_hidden,
            .float_outputs = float_outputs};
  }
  static std::vector<at::Tensor> sequences(const std::vector<at::Tensor>& by_chunk) {
    std::vector<at::Tensor> all;
    for (std::int64_t i = 0; i < kSequences; ++i) {
      all.push_back(by_chunk[static_cast<std::size_t>(i / 4)][i % 4]);
    }
    return all;
  }

  static constexpr std::int64_t kSequences = 6;  // the last chunk is padded

  at::NoGradGuard no_gradients;
  std::unique_ptr<models::Network> network;
  std::vector<quant::Chunk> chunks;
  std::vector<at::Tensor> hidden, float_hidden, float_outputs;

 private:
  models::Untapped none_;
};

void expect_as_plain(const std::string& family, const Options& options,
                     const plain::Settings& settings) {
  FirstUnit unit(family, settings.kv_heads);
  const auto named = [&](const std::string& name) { return name_of(name, family == "llama"); };
  const plain::Outcome expected =
      plain::train(plain_parameters(*unit.network), FirstUnit::sequences(unit.hidden),
                   FirstUnit::sequences(unit.float_hidden), settings);
  const quant::UnitInputs inputs = unit.inputs();
  UnitTraining training(*unit.network, inputs, options);
  for (const double loss : expected.epoch_losses) {
    EXPECT_NEAR(training.epoch(), loss, 1e-9 * loss);
  }
  const quant::QuantizedModel made = training.model();
  for (const auto& [name, value] : expected.weights) {
    const std::string parameter = named(name);
    const quant::QuantizedLayer& layer =
        made.layers.at(parameter.substr(0, parameter.size() - std::string(".weight").size()));
    EXPECT_TRUE(quant::decode(layer.code.to(at::kDouble), layer.grid).allclose(value, 1e-7, 1e-9))
        << name;
  }
  for (const auto& [name, value] : expected.parameters) {
    const auto changed = made.parameters.find(named(name));
    const at::Tensor own = changed == made.parameters.end()
                               ? unit.network->parameters().at(named(name))
                               : changed->second;
    EXPECT_TRUE(own.allclose(value, 1e-7, 1e-9)) << name;
  }
}

TEST(UnitTraining, of_weights_is_that_of_a_plain_program) {
  expect_as_plain("opt", {.weight_bits = 3}, {});
  expect_as_plain("opt", {.weight_bits = 2, .group = 8}, {.weight_bits = 2, .group = 8});
  expect_as_plain("opt", {.weight_bits = 4, .let = false}, {.weight_bits = 4, .let = false});
  expect_as_plain("opt", {.weight_bits = 3, .lwc = false, .alpha = 0.75},
                  {.alpha = 0.75, .lwc = false});
  expect_as_plain("opt", {.weight_bits = 3, .augment_loss = true}, {.augment = true});
  expect_as_plain("llama", {.weight_bits = 3}, {});
  expect_as_plain("llama", {.weight_bits = 2, .group = 8},
                  {.weight_bits = 2, .kv_heads = 1, .group = 8});
}

TEST(UnitTraining, of_weights_and_activations_is_that_of_a_plain_program) {
  for (const char* family : {"opt", "llama"}) {
    expect_as_plain(family, {.weight_bits = 4, .activation_bits = 4},
                    {.weight_bits = 4, .activation_bits = 4});
    expect_as_plain(family, {.weight_bits = 4, .activation_bits = 6, .quantize_bmm = false},
                    {.weight_bits = 4, .activation_bits = 6, .bmm = false});
  }
  expect_as_plain("llama", {.weight_bits = 4, .activation_bits = 4},
                  {.weight_bits = 4, .activation_bits = 4, .kv_heads = 1});
}

TEST(UnitTraining, lowers_the_loss_and_leaves_the_network_as_it_was) {
  for (const auto& [family, kv_heads, activation_bits] :
       {std::tuple("opt", 2, 16), std::tuple("opt", 2, 8), std::tuple("llama", 2, 16),
        std::tuple("llama", 1, 8)}) {
    FirstUnit unit(family, kv_heads);
    const quant::UnitInputs inputs = unit.inputs();
    const Parameters before = parameters_of(*unit.network, 0);
    UnitTraining training(*unit.network, inputs,
                          {.weight_bits = 3, .activation_bits = activation_bits});
    const double first = training.loss();
    for (int epoch = 0; epoch < 40; ++epoch) training.epoch();
    EXPECT_LT(training.loss(), 0.9 * first) << family << kv_heads << " A" << activation_bits;
    for (const auto& [name, value] : before) {
      EXPECT_TRUE(unit.network->parameters().at(name).is_same(value)) << name;
    }
  }
}

// What is reported is what the artifact computes.
TEST(UnitTraining, its_loss_is_that_of_the_model_that_it_gives) {
  for (const char* family : {"opt", "llama"}) {
    FirstUnit unit(family, 1);
    const quant::UnitInputs inputs = unit.inputs();
    const Options options{.weight_bits = 3, .activation_bits = 5, .group = 7};
    UnitTraining training(*unit.network, inputs, options);
    training.epoch();
    const double loss = training.loss();
    const std::unique_ptr<models::Tap> tap = quant::apply(training.model(), *unit.network);
    double sum = 0;
    for (std::size_t i = 0; i < unit.hidden.size(); ++i) {
      const at::Tensor output = unit.network->unit(0, unit.hidden[i], *tap);
      sum += unit.chunks[i].counted(output - unit.float_outputs[i]).square().sum().item<double>();
    }
    const double count = FirstUnit::kSequences * kContext * 16;
    EXPECT_NEAR(sum / count, loss, 1e-12) << family;
  }
}

TEST(UnitTraining, a_batch_is_its_sequences_wherever_chunks_end) {
  FirstUnit unit;
  const quant::UnitInputs inputs = unit.inputs();
  UnitTraining one(*unit.network, inputs, {.weight_bits = 3});
  UnitTraining three(*unit.network, inputs, {.weight_bits = 3, .batch = 3});
  UnitTraining all(*unit.network, inputs, {.weight_bits = 3, .batch = 100});
  const double first = all.loss();
  EXPECT_NEAR(all.epoch(), first, 1e-12 * first);  // one step, before which nothing has moved
  EXPECT_NE(one.epoch(), three.epoch());
}

TEST(UnitTraining, activations_are_rounded_where_the_release_does) {
  const auto sites = [](const std::string& family, const Options& options) {
    std::vector<std::string> names;
    for (const auto& [site, quantizer] : quantizers_of(*small_network(family), 1, options)) {
      EXPECT_EQ(quantizer.scheme, quant::ActivationScheme::kToken);
      EXPECT_EQ(quantizer.bits, 6);
      names.push_back(site.substr(std::string("blocks.1.").size()));
    }
    return names;
  };
  using ::testing::UnorderedElementsAre;
  EXPECT_THAT(sites("opt", {.activation_bits = 6}),
              UnorderedElementsAre("attn.q.in", "attn.q.out", "attn.k.out", "attn.v.out",
                                   "attn.out.in", "mlp.fc1.in", "mlp.fc2.in"));
  EXPECT_THAT(sites("llama", {.activation_bits = 6}),
              UnorderedElementsAre("attn.q.in", "attn.q.rot", "attn.k.rot", "attn.v.out",
                                   "attn.out.in", "mlp.gate.in", "mlp.down.in"));
  EXPECT_EQ(sites("opt", {.activation_bits = 6, .quantize_bmm = false}).size(), 4U);
  EXPECT_TRUE(sites("opt", {}).empty());
}

TEST(UnitTraining, a_loss_that_is_not_finite_is_refused_by_block) {
  FirstUnit unit;
  unit.float_outputs.front().fill_(INFINITY);
  const quant::UnitInputs inputs = unit.inputs();
  UnitTraining training(*unit.network, inputs, {.weight_bits = 3});
  EXPECT_THAT(testing::refusal([&] { training.epoch(); }),
              ::testing::HasSubstr("method: block 0: the loss of a step is inf: smaller learning"));
  EXPECT_THAT(testing::refusal([&] { unit_quantizer(*unit.network, {.weight_bits = 3})(inputs); }),
              ::testing::HasSubstr("method: block 0: the loss is inf"));
}

}  // namespace
}  // namespace assay::omniquant
