#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/models/tensor_file.h"
#include "methods/prefixquant/method.h"
#include "methods/prefixquant/outliers.h"
#include "methods/quant/canary.h"
#include "methods/quant/quantized_model.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::prefixquant {
namespace {

using Ids = std::vector<std::int64_t>;
using ::testing::HasSubstr;

TEST(PrefixTokens, the_most_frequent_as_many_as_a_text_has_then_the_beginning) {
  EXPECT_EQ(prefix_tokens({.per_text = {0, 1.5}, .ids = {{5, 3}, {2, 9}, {8, 3}}, .texts = 10}, 1),
            (Ids{2, 5, 1}));
  EXPECT_EQ(prefix_tokens({.per_text = {2, 4}, .ids = {{5, 3}, {2, 9}}, .texts = 10}, 1),
            (Ids{2, 5, 1}));
  EXPECT_EQ(prefix_tokens({.per_text = {1}, .ids = {}, .texts = 10}, 1), Ids{1});
  EXPECT_EQ(prefix_tokens({.per_text = {0}, .ids = {}, .texts = 10}, 1), Ids{1});
}

TEST(PrefixTokens, a_single_id_of_few_texts_is_left_out) {
  EXPECT_EQ(prefix_tokens({.per_text = {1}, .ids = {{5, 3}}, .texts = 40}, 1), Ids{1});
  EXPECT_EQ(prefix_tokens({.per_text = {1}, .ids = {{5, 4}}, .texts = 40}, 1), (Ids{5, 1}));
  EXPECT_EQ(prefix_tokens({.per_text = {2}, .ids = {{5, 1}, {6, 1}}, .texts = 40}, 1),
            (Ids{5, 6, 1}));
}

TEST(FindOutliers, a_planted_sink_is_one_outlier_at_the_first_position) {
  const at::NoGradGuard no_gradients;
  const auto network = quant::canary_network("opt");
  const at::Tensor texts = quant::canary_inputs(*network, 6);
  EXPECT_EQ(find_outliers(*network, texts, 64).per_text, (std::vector<double>{0, 0}));
  // The first position alone lifts a row of the MLP.
  network->parameters().at("model.decoder.embed_positions.weight")[2][5].add_(100);
  network->parameters().at("model.decoder.layers.0.fc1.weight")[3][5].add_(1000);
  network->parameters().at("model.decoder.layers.0.fc1.bias")[3].sub_(4000);
  const Outliers found = find_outliers(*network, texts, 64);
  EXPECT_NEAR(found.per_text[0], 1, 1e-12);
  EXPECT_TRUE(found.ids.empty());
  EXPECT_EQ(prefix_tokens(found, 2), Ids{2});
}

class PrefixQuantStage : public ::testing::Test {
 protected:
  PrefixQuantStage() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 12).to(at::kInt)}});
  }

  // Token 11 lifts a channel of the first MLP wherever it stands.
  static std::unique_ptr<models::Network> planted(StageContext&) {
    std::unique_ptr<models::Network> network = quant::canary_network("opt");
    const at::Tensor signs = at::where(at::arange(32).remainder(2).eq(0), 1.0, -1.0).to(at::kFloat);
    network->parameters().at("model.decoder.embed_tokens.weight")[11].copy_(signs * 50);
    network->parameters().at("model.decoder.layers.0.fc1.weight")[0].copy_(signs * 1000);
    network->parameters().at("model.decoder.layers.0.fc1.bias")[0].fill_(-28000);
    return network;
  }

  static Json parameters(const Json& given) {
    return parameters_of(prefixquant_method().declaration, given, 16, 16);
  }

  Json run(FakeContext& context) {
    context.inputs["tokens"] = tokens_.path();
    return body_of(implementations(prefixquant_method(), planted), "prefixquant.prefix")(context);
  }

  TemporaryFolder tokens_;
};

// Raise the stage's revision when these numbers move on purpose.
TEST_F(PrefixQuantStage, golden_output_of_revision_1) {
  EXPECT_EQ(prefixquant_method().stages[0].declaration.revision, 1);
  FakeContext context(parameters({{"bos", 2}}));
  const Json result = run(context);
  EXPECT_EQ(result["note"], "prefix of the tokens 11, 2");
  EXPECT_EQ(result["metrics"]["prefix_tokens"], 2);
  EXPECT_NEAR(result["metrics"]["outliers_per_text"].get<double>(), 5.0 / 12, 1e-12);
  const models::Prefix prefix = quant::load_quantized(context.output()).prefix;
  double sum = 0;
  for (const models::KeyValues& pair : prefix.units()) sum += pair.keys.abs().sum().item<double>();
  EXPECT_NEAR(sum, 53.7256, 1e-3);
}

TEST_F(PrefixQuantStage, every_option_matters) {
  const auto note = [&](const Json& given) {
    FakeContext context(parameters(given));
    return run(context)["note"].get<std::string>();
  };
  EXPECT_EQ(note({{"bos", 3}}), "prefix of the tokens 11, 3");
  EXPECT_EQ(note({{"bos", 2}, {"max_prefix", 1}}), "prefix of the tokens 2");
  EXPECT_EQ(note({{"bos", 2}, {"threshold", 1e6}}), "prefix of the tokens 2");
}

TEST_F(PrefixQuantStage, what_cannot_be_is_refused_before_it_runs) {
  const auto network = quant::canary_network("opt");
  const auto check = [&](const Json& given, Rounding before = {}) {
    FakeContext context(parameters(given));
    return testing::refusal([&] {
      prefixquant_method().stages[0].check(
          {.context = context, .network = *network, .samples = {}, .before = before});
    });
  };
  EXPECT_EQ(check({{"bos", 2}}), "no error");
  EXPECT_THAT(check(Json::object()), HasSubstr("config.json has no bos_token_id"));
  EXPECT_THAT(check({{"bos", 64}}), HasSubstr("bos: 64 is no id"));
  EXPECT_THAT(check({{"bos", 2}}, {.prefix = 1}), HasSubstr("a network has one prefix"));
}

TEST(PrefixQuant, canary) { EXPECT_NO_THROW(canary()); }

}  // namespace
}  // namespace assay::prefixquant
