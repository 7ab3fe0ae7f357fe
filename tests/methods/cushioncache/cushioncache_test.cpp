#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "harness/models/generation.h"
#include "methods/cushioncache/method.h"
#include "methods/cushioncache/search.h"
#include "methods/cushioncache/tuning.h"
#include "methods/quant/canary.h"

namespace assay::cushioncache {
namespace {

std::unique_ptr<models::Network> planted_network(double size, at::ScalarType type = at::kDouble) {
  std::unique_ptr<models::Network> network = quant::canary_network("opt");
  network->parameters().at("model.decoder.embed_positions.weight")[2][5].add_(size);
  network->to(type);
  return network;
}

at::Tensor texts_of(const models::Network& network, std::int64_t rows) {
  return quant::canary_inputs(network, rows).narrow(1, 0, 20);
}

TEST(QuantizationError, a_sum_by_hand) {
  const at::Tensor x = at::tensor({-1., 0.25, 0.5, 3.}, at::kDouble).reshape({1, 2, 2});
  ErrorTap tap({"a"}, {.bits = 2, .denominator = Denominator::kPrinted});
  EXPECT_TRUE(tap("b", x).equal(x));
  EXPECT_EQ(tap.total().item<double>(), 0);
  EXPECT_TRUE(tap("a", x).equal(x));
  // One step of 4: -1 stays, 0.25 and 0.5 fall to -1, 3 stays.
  EXPECT_NEAR(tap.total().item<double>(), 1.25 * 1.25 + 1.5 * 1.5, 1e-12);
  EXPECT_NEAR(tap.energy(), x.square().sum().item<double>(), 1e-12);
}

TEST(QuantizationError, a_range_of_every_token) {
  const at::Tensor x = at::tensor({0., 1., 0., 100.}, at::kDouble).reshape({1, 2, 2});
  EXPECT_TRUE(rounded(x, {.bits = 2, .range = RangeOf::kToken}).equal(x));
  const at::Tensor shared = rounded(x, {.bits = 2, .range = RangeOf::kTensor});
  EXPECT_EQ(shared[0][0][1].item<double>(), 0);
  EXPECT_TRUE(rounded(at::ones({1, 3, 3}), {}).equal(at::ones({1, 3, 3})));
}

TEST(QuantizationError, what_does_not_count_moves_nothing) {  // T26
  at::manual_seed(1);
  at::Tensor x = at::randn({1, 9, 4}, at::kDouble);
  const auto error = [&] {
    ErrorTap tap({"a"}, {}, 3);
    tap("a", x);
    return tap.total().item<double>();
  };
  const double before = error();
  x.narrow(1, 0, 3).mul_(1000);
  EXPECT_EQ(error(), before);
}

TEST(CushionSearch, one_token_takes_a_planted_sink) {  // T25
  const at::NoGradGuard no_gradients;
  const auto network = planted_network(100);
  const at::Tensor texts = texts_of(*network, 3);
  SearchOptions options;
  options.candidates = frequent_ids(texts, 64, 0);
  const SearchState found = search(*network, texts, options);
  ASSERT_EQ(found.steps.size(), 1);
  EXPECT_LE(found.steps[0].after, 0.5 * found.steps[0].before);
  EXPECT_EQ(network->prefix().length(), 1);
  // What the search does not compute is no better.
  double best = 1e300;
  std::int64_t best_id = -1;
  network->set_prefix({});
  for (std::int64_t id = 0; id < 64; ++id) {
    const double error = error_of(*network, id, texts.narrow(0, 0, 1), options.error);
    if (error < best) best = error, best_id = id;
  }
  EXPECT_EQ(found.steps[0].token, best_id);
  EXPECT_EQ(found.steps[0].after, best);
}

TEST(CushionSearch, a_network_without_a_sink_keeps_an_empty_prefix) {
  const at::NoGradGuard no_gradients;
  const auto network = planted_network(0);
  const at::Tensor texts = texts_of(*network, 3);
  SearchOptions options;
  options.candidates = frequent_ids(texts, 64, 0);
  EXPECT_TRUE(search(*network, texts, options).steps.empty());
}

TEST(CushionSearch, goes_on_from_every_state_to_the_same_tokens) {
  const at::NoGradGuard no_gradients;
  const auto network = planted_network(100, at::kFloat);
  const at::Tensor texts = texts_of(*network, 3);
  SearchOptions options{.tau = 0.99, .max_prefix = 2};
  options.candidates = frequent_ids(texts, 64, 12);
  std::vector<SearchState> states;
  const SearchState whole = search(*network, texts, options, {},
                                   [&](const SearchState& state) { states.push_back(state); });
  ASSERT_GE(states.size(), 24);
  for (const std::size_t i : {std::size_t{0}, std::size_t{7}, std::size_t{11}, std::size_t{17}}) {
    const SearchState again = search(*network, texts, options, states[i]);
    EXPECT_EQ(tokens_of(options, again), tokens_of(options, whole)) << i;
    ASSERT_EQ(again.steps.size(), whole.steps.size());
    for (std::size_t step = 0; step < whole.steps.size(); ++step) {
      EXPECT_EQ(again.steps[step].after, whole.steps[step].after) << i;
    }
  }
}

TEST(CushionSearch, adds_up_the_errors_of_its_texts) {
  const at::NoGradGuard no_gradients;
  const auto network = planted_network(100);
  const at::Tensor texts = texts_of(*network, 3);
  const auto error = [&](const at::Tensor& rows) { return error_of(*network, 9, rows, {}); };
  double sum = 0;
  for (std::int64_t i = 0; i < 3; ++i) sum += error(texts.narrow(0, i, 1));
  EXPECT_NEAR(error(texts) / sum, 1, 1e-12);
  SearchOptions options{.max_prefix = 1, .texts = 5};  // more than there are: round and round
  options.candidates = {9};
  const SearchState found = search(*network, texts, options);
  ASSERT_EQ(found.steps.size(), 1);
  EXPECT_NEAR(found.steps[0].after / (sum + error(texts.narrow(0, 0, 2))), 1, 1e-12);
}

TEST(CushionSearch, begins_behind_the_start_tokens) {
  const at::NoGradGuard no_gradients;
  const auto network = planted_network(100);
  const at::Tensor texts = texts_of(*network, 3);
  SearchOptions options{.start = {9}};
  options.candidates = frequent_ids(texts, 64, 0);
  EXPECT_EQ(tokens_of(options, search(*network, texts, options)), std::vector<std::int64_t>{9});
}

TEST(CushionSearch, frequent_ids_come_first) {
  const at::Tensor texts = at::tensor({3, 1, 3, 2, 1, 3}, at::kLong).reshape({2, 3});
  EXPECT_EQ(frequent_ids(texts, 6, 3), (std::vector<std::int64_t>{3, 1, 2}));
  EXPECT_EQ(frequent_ids(texts, 6, 0), (std::vector<std::int64_t>{3, 1, 2, 0, 4, 5}));
  EXPECT_EQ(frequent_ids(texts, 6, 99).size(), 6);
}

models::Prefix noisy_prefix(const models::Network& network) {
  std::vector<models::KeyValues> units =
      models::prefix_of(network, at::tensor({4, 9}, at::kLong)).units();
  at::manual_seed(3);
  for (models::KeyValues& pair : units) {
    pair.keys = pair.keys + 0.1 * at::randn_like(pair.keys);
    pair.values = pair.values + 0.1 * at::randn_like(pair.values);
  }
  return models::Prefix(units);
}

// The losses with the codes and ranges of `held` where it holds some, so that differences see the
// same constants that the gradient does.
struct HeldTap : models::Tap {
  std::map<std::string, at::Tensor, std::less<>> held;
  at::Tensor total = at::zeros({}, at::kDouble);
  std::vector<std::string> sites;
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    if (std::find(sites.begin(), sites.end(), site) == sites.end()) return value;
    const auto found = held.find(site);
    const at::Tensor q = found == held.end() ? rounded(value, {}) : found->second;
    if (found == held.end()) held.emplace(site, q);
    total = total + (value - q).square().sum();
    return value;
  }
};

TEST(CushionTuning, gradients_are_those_of_differences) {  // T27
  const auto network = planted_network(0);
  const at::Tensor text = texts_of(*network, 1);
  models::Prefix prefix = noisy_prefix(*network);
  for (const models::KeyValues& pair : prefix.units()) {
    at::Tensor(pair.keys).set_requires_grad(true);
    at::Tensor(pair.values).set_requires_grad(true);
  }
  network->set_prefix(prefix);
  const TuningOptions options{.lambda = 0.7 * 20};  // the text has 20 tokens
  const Losses losses = add_gradients(*network, text, options);
  const at::NoGradGuard no_gradients;
  HeldTap tap;
  tap.sites = error_sites(*network);
  const auto loss = [&] {
    tap.total = at::zeros({}, at::kDouble);
    const at::Tensor logits = network->forward(text, tap)[0];
    const at::Tensor nll =
        at::cross_entropy_loss(logits.narrow(0, 0, 19), text[0].narrow(0, 1, 19));
    return (nll + 0.7 * tap.total).item<double>();
  };
  EXPECT_NEAR(loss(), losses.prediction + 0.7 * losses.error, 1e-9);
  for (const models::KeyValues& pair : prefix.units()) {
    for (const at::Tensor& tensor : {pair.keys, pair.values}) {
      const at::Tensor flat = tensor.view({-1}), grad = tensor.grad().view({-1});
      for (const std::int64_t i : {std::int64_t{0}, flat.numel() / 2, flat.numel() - 1}) {
        const double step = 1e-5, value = flat[i].item<double>();
        flat[i].fill_(value + step);
        const double above = loss();
        flat[i].fill_(value - step);
        const double below = loss();
        flat[i].fill_(value);
        EXPECT_NEAR(grad[i].item<double>(), (above - below) / (2 * step), 1e-6);
      }
    }
  }
}

TEST(CushionTuning, a_rounded_prediction_passes_the_gradient_on) {
  const auto network = planted_network(0);
  const at::Tensor text = texts_of(*network, 2);
  for (const Prediction prediction : {Prediction::kFloat, Prediction::kQuantized}) {
    models::Prefix prefix = noisy_prefix(*network);
    for (const models::KeyValues& pair : prefix.units()) {
      at::Tensor(pair.keys).set_requires_grad(true);
      at::Tensor(pair.values).set_requires_grad(true);
    }
    network->set_prefix(prefix);
    const Losses losses = add_gradients(
        *network, text, {.error = {.bits = 3}, .lambda = 0, .prediction = prediction});
    EXPECT_GT(prefix.units()[0].values.grad().abs().max().item<double>(), 0);
    static double of_float = 0;
    if (prediction == Prediction::kFloat) {
      of_float = losses.prediction;
    } else {
      EXPECT_NE(losses.prediction, of_float);
    }
  }
}

TEST(CushionTuning, lowers_both_losses_and_leaves_the_weights) {
  const auto network = planted_network(100, at::kFloat);
  const at::Tensor texts = texts_of(*network, 4);
  network->set_prefix(models::prefix_of(*network, at::tensor({7}, at::kLong)));
  const at::Tensor& weight = network->parameters().at("model.decoder.layers.0.fc1.weight");
  const at::Tensor before = weight.clone();
  Tuner tuner(*network, texts, {.lambda = 1, .epochs = 30, .learning_rate = 2e-2, .batch = 4});
  const Losses first = tuner.step();
  Losses last;
  while (tuner.steps_done() < tuner.total_steps()) last = tuner.step();
  EXPECT_EQ(tuner.total_steps(), 30);
  EXPECT_LT(last.prediction + last.error, first.prediction + first.error);
  EXPECT_TRUE(weight.equal(before));
}

TEST(CushionTuning, goes_on_from_a_state_with_the_same_bits) {
  const at::Tensor texts = texts_of(*planted_network(0), 5);
  const TuningOptions options{.epochs = 3, .learning_rate = 1e-2, .batch = 2, .seed = 4};
  const auto tuned = [&](std::int64_t stop_at) {
    models::TensorMap state;
    {
      const auto network = planted_network(100, at::kFloat);
      network->set_prefix(models::prefix_of(*network, at::tensor({7, 2}, at::kLong)));
      Tuner tuner(*network, texts, options);
      while (tuner.steps_done() < stop_at) tuner.step();
      for (const auto& [name, tensor] : tuner.state()) state[name] = tensor.clone();
      if (stop_at == tuner.total_steps()) return network->prefix().units()[1].keys.detach().clone();
    }
    const auto network = planted_network(100, at::kFloat);
    network->set_prefix(models::prefix_of(*network, at::tensor({7, 2}, at::kLong)));
    Tuner tuner(*network, texts, options);
    tuner.restore(state, stop_at);
    while (tuner.steps_done() < tuner.total_steps()) tuner.step();
    return network->prefix().units()[1].keys.detach().clone();
  };
  EXPECT_TRUE(tuned(4).equal(tuned(9)));
}

TEST(CushionCache, canary) { EXPECT_NO_THROW(canary()); }

}  // namespace
}  // namespace assay::cushioncache
