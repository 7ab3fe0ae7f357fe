#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "harness/models/generation.h"
#include "tests/harness/models/network_cases.h"

namespace assay::models {
namespace {

class PrefixedNetwork : public ::testing::Test {
 protected:
  static Json configuration(const std::string& family) {
    Json c = {{"model_type", family},     {"vocab_size", 40},
              {"hidden_size", 24},        {"num_hidden_layers", 2},
              {"num_attention_heads", 6}, {"max_position_embeddings", 32}};
    if (family == "opt") c["ffn_dim"] = 20;
    if (family == "llama") c.update({{"intermediate_size", 20}, {"num_key_value_heads", 2}});
    return c;
  }

  static std::vector<std::unique_ptr<Network>> all(at::ScalarType dtype) {
    std::vector<std::unique_ptr<Network>> list;
    for (const char* family : {"llama", "opt"}) {
      for (const bool rotated : {false, true}) {
        Json own = configuration(family);
        if (rotated) own.update({{"rotated", true}, {"tie_word_embeddings", false}});
        list.push_back(make_network(family, own));
        hash_fill(*list.back(), dtype);
      }
    }
    return list;
  }

  static at::Tensor tokens(std::int64_t rows, std::int64_t length) {
    return (at::arange(rows * length) * 7).remainder(40).reshape({rows, length});
  }

  static bool close(const at::Tensor& a, const at::Tensor& b) {
    return at::allclose(a, b, 1e-11, 1e-11);
  }

  const c10::NoGradGuard no_grad_;
};

TEST_F(PrefixedNetwork, keys_and_values_of_tokens_are_as_good_as_the_tokens) {
  for (const auto& network : all(at::kDouble)) {
    const at::Tensor prompt = tokens(1, 3) + 1;
    const at::Tensor text = tokens(2, 17);
    const at::Tensor whole = network->forward(at::cat({prompt.expand({2, 3}), text}, 1));
    network->set_prefix(prefix_of(*network, prompt[0]));
    EXPECT_EQ(network->prefix().length(), 3);
    EXPECT_TRUE(close(network->forward(text), whole.narrow(1, 3, 17))) << network->info().family;
    network->set_prefix({});
    EXPECT_TRUE(network->forward(text).equal(network->forward(text)));
    EXPECT_FALSE(close(network->forward(text), whole.narrow(1, 3, 17)));
  }
}

TEST_F(PrefixedNetwork, taps_see_the_positions_of_the_text_alone) {
  for (const auto& network : all(at::kDouble)) {
    const at::Tensor prompt = tokens(1, 3) + 1;
    const at::Tensor text = tokens(2, 17);
    Recorder whole, recorder;
    network->forward(at::cat({prompt.expand({2, 3}), text}, 1), whole);
    const at::Tensor plain = network->forward(text, recorder);
    network->set_prefix(prefix_of(*network, prompt[0]));
    Recorder behind;
    // Explicit attention, because the recorder wants the probabilities, equals the fused one.
    EXPECT_TRUE(close(network->forward(text, behind), network->forward(text)));
    EXPECT_EQ(behind.order, recorder.order);
    for (const auto& [site, value] : behind.values) {
      EXPECT_EQ(value.sizes().vec(), recorder.values.at(site).sizes().vec()) << site;
      const at::Tensor& long_one = whole.values.at(site);
      if (site.ends_with("probabilities")) {
        EXPECT_TRUE(close(value, long_one.narrow(2, 3, 17).narrow(3, 3, 17))) << site;
        EXPECT_LT(value.sum(-1).max().item<double>(), 1.0) << site;
      } else {
        EXPECT_TRUE(close(value, long_one.narrow(value.dim() == 4 ? 2 : 1, 3, 17))) << site;
      }
    }
  }
}

TEST_F(PrefixedNetwork, decoding_in_pieces_equals_one_pass) {
  for (const auto& network : all(at::kDouble)) {
    for (const bool prefixed : {false, true}) {
      if (prefixed) network->set_prefix(prefix_of(*network, tokens(1, 2)[0] + 5));
      const at::Tensor text = tokens(2, 20);
      const at::Tensor whole = network->forward(text);
      KeyValueCache cache(network->prefix());
      Tap nothing;
      std::int64_t first = 0;
      for (const std::int64_t piece : {7, 1, 1, 8, 3}) {
        const at::Tensor logits = network->decode(text.narrow(1, first, piece), cache, nothing);
        EXPECT_TRUE(close(logits, whole.narrow(1, first, piece))) << network->info().family;
        first += piece;
      }
      EXPECT_EQ(cache.length(), 20 + network->prefix().length());
    }
  }
}

TEST_F(PrefixedNetwork, decoding_in_float_is_within_a_hundred_thousandth) {
  for (const auto& network : all(at::kFloat)) {
    const at::Tensor text = tokens(2, 30);
    const at::Tensor whole = network->forward(text);
    KeyValueCache cache;
    Tap nothing;
    for (std::int64_t i = 0; i < 30; ++i) {
      const at::Tensor logits = network->decode(text.narrow(1, i, 1), cache, nothing);
      EXPECT_LT((logits - whole.narrow(1, i, 1)).abs().max().item<double>(), 1e-5);
    }
  }
}

TEST_F(PrefixedNetwork, a_prefix_takes_learned_positions_and_leaves_turned_ones) {
  for (const auto& network : all(at::kDouble)) {
    const bool learned = network->info().family == "opt";
    network->set_prefix(prefix_of(*network, tokens(1, 4)[0]));
    EXPECT_EQ(network->info().context, learned ? 28 : 32);
    EXPECT_NO_THROW(network->forward(tokens(1, learned ? 28 : 32)));
    EXPECT_THROW(network->forward(tokens(1, learned ? 29 : 33)), Error);
    KeyValueCache cache(network->prefix());
    Tap nothing;
    network->decode(tokens(1, 20), cache, nothing);
    EXPECT_THROW(network->decode(tokens(1, learned ? 9 : 13), cache, nothing), Error);
    network->set_prefix({});
    EXPECT_EQ(network->info().context, 32);
  }
}

TEST_F(PrefixedNetwork, gradients_reach_a_prefix) {
  const at::AutoGradMode grad(true);
  for (const auto& network : all(at::kDouble)) {
    std::vector<KeyValues> units = prefix_of(*network, tokens(1, 3)[0]).units();
    for (KeyValues& pair : units) {
      pair.keys = pair.keys.detach().clone().set_requires_grad(true);
      pair.values = pair.values.detach().clone().set_requires_grad(true);
    }
    network->set_prefix(Prefix(units));
    network->forward(tokens(2, 9)).square().sum().backward();
    for (const KeyValues& pair : units) {
      EXPECT_GT(pair.keys.grad().abs().max().item<double>(), 0);
      EXPECT_GT(pair.values.grad().abs().max().item<double>(), 0);
    }
  }
}

TEST_F(PrefixedNetwork, a_prefix_that_does_not_fit_is_refused) {
  for (const auto& network : all(at::kDouble)) {
    std::vector<KeyValues> units = prefix_of(*network, tokens(1, 3)[0]).units();
    EXPECT_THROW(network->set_prefix(Prefix({units[0]})), Error);
    std::vector<KeyValues> narrow = units;
    narrow[1].values = narrow[1].values.narrow(3, 0, 1);
    EXPECT_THROW(network->set_prefix(Prefix(narrow)), Error);
    std::vector<KeyValues> rough = units;
    rough[0].keys = rough[0].keys.to(at::kFloat);
    EXPECT_THROW(network->set_prefix(Prefix(rough)), Error);
    EXPECT_TRUE(network->prefix().empty());
  }
  const auto vision = make_network(
      "cifar_resnet", {{"architecture", "cifar_resnet"}, {"depth", 20}, {"num_classes", 10}});
  EXPECT_THROW(vision->set_prefix(Prefix(std::vector<KeyValues>(1))), Error);
  KeyValueCache cache;
  Tap nothing;
  EXPECT_THROW(vision->decode(tokens(1, 3), cache, nothing), Error);
}

TEST_F(PrefixedNetwork, a_prefix_follows_the_precision_of_the_network) {
  for (const auto& network : all(at::kDouble)) {
    network->set_prefix(prefix_of(*network, tokens(1, 3)[0]));
    const at::Tensor exact = network->forward(tokens(2, 9));
    network->to(at::kFloat);
    EXPECT_EQ(network->prefix().units()[1].keys.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::allclose(network->forward(tokens(2, 9)).to(at::kDouble), exact, 1e-4, 1e-4));
  }
}

TEST_F(PrefixedNetwork, greedy_generation_takes_the_likeliest_token_each_time) {
  for (const auto& network : all(at::kDouble)) {
    Tap nothing;
    const at::Tensor prompt = tokens(2, 4);
    at::Tensor slow = prompt;
    for (int i = 0; i < 9; ++i) {
      const at::Tensor last = network->forward(slow).select(1, slow.size(1) - 1);
      slow = at::cat({slow, last.argmax(1, true)}, 1);
    }
    EXPECT_TRUE(generate(*network, prompt, 9, {}, nothing).equal(slow));
    EXPECT_THROW(generate(*network, prompt, 29, {}, nothing), Error);
    EXPECT_THROW(generate(*network, prompt, 0, {}, nothing), Error);
    EXPECT_THROW(generate(*network, prompt, 2, {.temperature = -1}, nothing), Error);
  }
}

TEST_F(PrefixedNetwork, sampled_tokens_have_the_probabilities_of_the_network) {
  const auto network = make_network("opt", configuration("opt"));
  hash_fill(*network, at::kDouble);
  Tap nothing;
  const std::int64_t rows = 4000;
  const at::Tensor prompt = tokens(1, 5).expand({rows, 5}).contiguous();
  const at::Tensor z = network->forward(tokens(1, 5))[0][4];
  const at::Tensor next =
      generate(*network, prompt, 1, {.temperature = 2.0, .seed = 3}, nothing).select(1, 5);
  const at::Tensor share = next.bincount({}, 40).to(at::kDouble) / static_cast<double>(rows);
  const at::Tensor p = (z / 2.0).softmax(0);
  // Five deviations of a count at 4,000 draws.
  EXPECT_TRUE((share - p)
                  .abs()
                  .le(5 * (p * (1 - p) / static_cast<double>(rows)).sqrt() + 1e-9)
                  .all()
                  .item<bool>());
  const at::Tensor few =
      generate(*network, prompt, 1, {.temperature = 2.0, .top_k = 3, .seed = 3}, nothing)
          .select(1, 5);
  const at::Tensor best = std::get<1>(z.topk(3));
  EXPECT_TRUE(at::isin(few, best).all().item<bool>());
  EXPECT_TRUE(generate(*network, prompt, 2, {.temperature = 1.0, .seed = 7}, nothing)
                  .equal(generate(*network, prompt, 2, {.temperature = 1.0, .seed = 7}, nothing)));
}

}  // namespace
}  // namespace assay::models
