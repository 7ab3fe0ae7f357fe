#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "methods/prefixquant/method.h"
#include "methods/prefixquant/outliers.h"
#include "methods/quant/canary.h"

namespace assay::prefixquant {
namespace {

using Ids = std::vector<std::int64_t>;

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

TEST(PrefixQuant, canary) { EXPECT_NO_THROW(canary()); }

}  // namespace
}  // namespace assay::prefixquant
