// Errors, scores of every candidate, prefixes, logits, ranges and gradients as an independent
// program from the paper's formulas gave them; tolerances as stated with the records.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/models/generation.h"
#include "methods/cushioncache/search.h"
#include "methods/cushioncache/tuning.h"
#include "methods/quant/observer.h"

namespace assay::cushioncache {
namespace {

using Case = std::pair<std::string, at::ScalarType>;

ErrorOptions error_with(int denominator) {
  return {.denominator = denominator == 255 ? Denominator::kFull : Denominator::kPrinted};
}

// [units, 2, kv_heads, m, head_dim], in the dtype of the network.
models::Prefix as_prefix(const at::Tensor& all, at::ScalarType type) {
  std::vector<models::KeyValues> units;
  for (std::int64_t i = 0; i < all.size(0); ++i) {
    const at::Tensor unit = all[i].to(type);
    units.push_back({unit.narrow(0, 0, 1).clone(), unit.narrow(0, 1, 1).clone()});
  }
  return models::Prefix(std::move(units));
}

at::Tensor key_values(const models::Prefix& prefix) {
  std::vector<at::Tensor> units;
  for (const models::KeyValues& pair : prefix.units()) {
    units.push_back(at::cat({pair.keys, pair.values}));
  }
  return at::stack(units);
}

Json records() {
  const std::string file = (parity_folder() / "llm/cushioncache/case.json").string();
  return parse_json(read_file(file), file)["results"];
}

// Mean over the test windows' first 64 tokens.
double nll_of_first_tokens(const models::Network& network, models::Tap& tap) {
  const at::Tensor rows =
      parity_tensors("llm/models/tokens.safetensors").at("test").narrow(1, 0, 64);
  const at::Tensor logits = network.forward(rows, tap).narrow(1, 0, 63).to(at::kDouble);
  const at::Tensor expected = rows.narrow(1, 1, 63).unsqueeze(-1);
  return -logits.log_softmax(-1).gather(-1, expected).mean().item<double>();
}

// s code + low with code = clamp(round((x - low) / s), 0, 255): the record's offset is no whole
// number of steps, as ours is.
class RecordedRounding : public models::Tap {
 public:
  explicit RecordedRounding(const quant::Ranges& ranges) : ranges_(ranges) {}
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    const auto found = ranges_.find(site);
    if (found == ranges_.end()) return value;
    const double low = found->second.low, step = (found->second.high - low) / 255;
    return ((value - low) / step).round().clamp(0, 255) * step + low;
  }

 private:
  const quant::Ranges& ranges_;
};

class CushionCacheModels : public ::testing::TestWithParam<Case> {
 protected:
  std::string model() const { return GetParam().first; }
  at::ScalarType type() const { return GetParam().second; }
  bool wide() const { return type() == at::kDouble; }
  // Texts and logits are recorded in float32 alone, losses and gradients in both types.
  models::TensorMap recorded() const {
    models::TensorMap all = parity_tensors("llm/cushioncache/" + model() + ".safetensors");
    if (wide()) {
      for (auto& [name, tensor] :
           parity_tensors("llm/cushioncache/" + model() + "_f64.safetensors")) {
        all[name] = tensor;
      }
    }
    return all;
  }
  Json results() const { return records()[model()]; }
  double error_tolerance() const { return wide() ? 1e-9 : 1e-3; }

  // By site, behind the network's prefix; the first `skipped` tokens do not count.
  at::Tensor errors_at_sites(const models::Network& network, const at::Tensor& tokens,
                             int denominator, std::int64_t skipped) const {
    const std::vector<std::string> sites = error_sites(network);
    ErrorTap tap(sites, error_with(denominator), skipped);
    network.forward(tokens.unsqueeze(0), tap);
    std::vector<at::Tensor> all;
    for (const std::string& site : sites) all.push_back(tap.errors().at(site));
    return at::stack(all);
  }
};

TEST_P(CushionCacheModels, errors_of_prepended_tokens_and_of_their_cache) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const models::TensorMap want = recorded();
  const auto network = parity_language_model(model(), type());
  const at::Tensor text = want.at("text"), prompt = want.at("prefix");
  for (std::int64_t m = 0; m <= 3; ++m) {
    for (const int denominator : {127, 255}) {
      const std::string name = fmt::format("lq_m{}_denom{}", m, denominator);
      const at::Tensor expected = want.at(name).to(at::kDouble);
      network->set_prefix({});
      const at::Tensor tokens = at::cat({prompt.narrow(0, 0, m), text});
      EXPECT_TRUE(errors_at_sites(*network, tokens, denominator, m)
                      .allclose(expected, error_tolerance(), 0))
          << name;
      network->set_prefix(models::prefix_of(*network, prompt.narrow(0, 0, m)));
      EXPECT_TRUE(
          errors_at_sites(*network, text, denominator, 0).allclose(expected, error_tolerance(), 0))
          << name << " from a cache";
    }
    EXPECT_LT(largest_difference(network->forward(text.unsqueeze(0))[0],
                                 want.at(fmt::format("logits_m{}", m))),
              1e-4);
  }
}

TEST_P(CushionCacheModels, keys_values_and_logits) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const models::TensorMap want = recorded();
  const auto network = parity_language_model(model(), type());
  const at::Tensor text = want.at("text").unsqueeze(0);
  const models::Prefix prefix = models::prefix_of(*network, want.at("prefix"));
  EXPECT_LT(largest_difference(key_values(prefix), want.at("kv_prefix")), 1e-5);
  network->set_prefix(prefix);
  EXPECT_LT(largest_difference(network->forward(text)[0], want.at("logits_kv")), 1e-4);
  network->set_prefix(as_prefix(want.at("kv_tuned"), type()));
  EXPECT_LT(largest_difference(network->forward(text)[0], want.at("logits_kv_tuned")), 1e-4);
  // The prefix itself is recorded in float32 alone.
  EXPECT_TRUE(errors_at_sites(*network, text[0], 255, 0)
                  .allclose(want.at("lq_kv_tuned_denom255").to(at::kDouble), 1e-3, 0));
}

TEST_P(CushionCacheModels, every_candidate_of_three_steps) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const models::TensorMap want = recorded();
  const auto network = parity_language_model(model(), type());
  SearchOptions options{.error = error_with(255), .tau = 1e9, .max_prefix = 3};
  options.candidates = frequent_ids(at::zeros({1, 1}, at::kLong), 256, 0);
  std::vector<at::Tensor> texts;
  for (int step = 0; step < 3; ++step) {
    const std::string name = fmt::format("search{}.", step);
    texts.push_back(want.at(name + "text"));
    const std::vector<std::int64_t> before(options.start);
    network->set_prefix({});
    network->set_prefix(models::prefix_of(*network, at::tensor(before, at::kLong)));
    EXPECT_NEAR(
        error_of(*network, -1, texts.back().unsqueeze(0), options.error) / want.at(name + "L0").item<double>(),
        1, error_tolerance());
    at::Tensor scores = at::empty({256}, at::kDouble);
    for (std::int64_t id = 0; id < 256; ++id) {
      scores[id] = error_of(*network, id, texts.back().unsqueeze(0), options.error);
    }
    const at::Tensor expected = want.at(name + "scores").to(at::kDouble);
    EXPECT_TRUE(scores.allclose(expected, error_tolerance(), 0)) << name;
    EXPECT_EQ(scores.argmin().item<std::int64_t>(), expected.argmin().item<std::int64_t>());
    options.start.push_back(scores.argmin().item<std::int64_t>());
  }
  // The search comes to the same tokens, though it computes few of the scores whole.
  const std::vector<std::int64_t> tokens = std::exchange(options.start, {});
  const SearchState found = search(*network, at::stack(texts), options);
  EXPECT_EQ(tokens_of(options, found), tokens);
  options.tau = 0.5;
  EXPECT_TRUE(tokens_of(options, search(*network, at::stack(texts), options)).empty());
}

TEST_P(CushionCacheModels, static_ranges_and_their_logits) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const models::TensorMap want = recorded();
  const at::Tensor calibration =
      parity_tensors("llm/models/tokens.safetensors").at("calib").narrow(1, 0, 64);
  const at::Tensor text =
      parity_tensors("llm/models/tokens.safetensors").at("test").narrow(0, 0, 1).narrow(1, 0, 64);
  for (const std::string which : {"noprefix", "prefix", "greedy"}) {
    const auto network = parity_language_model(model(), type());
    if (which != "noprefix") {
      network->set_prefix(
          as_prefix(want.at(which == "prefix" ? "kv_prefix" : "kv_greedy"), type()));
    }
    const quant::Ranges ranges =
        quant::observe(*network, {calibration, quant::kSequenceChunk}, error_sites(*network), {});
    std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers;
    for (const auto& [site, range] : ranges) {
      quantizers[site] = quant::static_quantizer(range, 8, false, type());
    }
    // A line a layer; those of q, k and v are one.
    const at::Tensor expected = want.at("static_range_" + which);
    quant::Ranges recorded_ranges;
    std::int64_t line = 0;
    for (const models::Layer& layer : network->layers()) {
      quant::Range& range = recorded_ranges[layer.input_site];
      range = {expected[line][0].item<double>(), expected[line][1].item<double>()};
      EXPECT_NEAR(ranges.at(layer.input_site).low, range.low, 1e-4);
      EXPECT_NEAR(ranges.at(layer.input_site).high, range.high, 1e-4);
      ++line;
    }
    RecordedRounding rounding(recorded_ranges);
    const at::Tensor logits = want.at("a8_static_logits_" + which);
    if (!wide()) {  // codes of float64 are others, and logits are recorded in float32 alone
      EXPECT_LT(largest_difference(network->forward(text, rounding)[0], logits),
                0.02 * logits.abs().max().item<double>())
          << which;
    }
    quant::ActivationTap tap(quantizers);
    const double nll = results()["nll_" + which]["a8_static"].get<double>();
    EXPECT_NEAR(nll_of_first_tokens(*network, tap) / nll, 1, 5e-3) << which;
  }
}

TEST_P(CushionCacheModels, gradients_of_both_losses) {
  ASSAY_NEEDS_PARITY_DATA();
  const models::TensorMap want = recorded();
  const auto network = parity_language_model(model(), type());
  const auto gradients = [&](double lambda, Losses& losses) {
    models::Prefix prefix = as_prefix(want.at("kv_tuned"), type());
    for (const models::KeyValues& pair : prefix.units()) {
      at::Tensor(pair.keys).set_requires_grad(true);
      at::Tensor(pair.values).set_requires_grad(true);
    }
    network->set_prefix(prefix);
    losses = add_gradients(
        *network, want.at("text").unsqueeze(0),
        {.error = error_with(255), .lambda = lambda, .error_mean = ErrorMean::kSequence});
    std::vector<at::Tensor> units;
    for (const models::KeyValues& pair : prefix.units()) {
      units.push_back(at::cat({pair.keys.grad(), pair.values.grad()}));
    }
    return at::stack(units).to(at::kDouble);
  };
  const auto expect_near = [&](const at::Tensor& got, const at::Tensor& expected) {
    const at::Tensor reference = expected.to(at::kDouble);
    // Also in float64: the prefix itself is recorded in float32 alone.
    EXPECT_LT(((got - reference).norm() / reference.norm()).item<double>(), 1e-3);
  };
  Losses losses;
  const at::Tensor prediction = gradients(0, losses);
  EXPECT_NEAR(losses.prediction, results()["Lpred_tuned"].get<double>(), 1e-5);
  EXPECT_NEAR(losses.error / results()["Lq_tuned"].get<double>(), 1, 1e-3);
  expect_near(prediction, want.at("grad_lpred_kv_tuned"));
  const at::Tensor both = gradients(1, losses);
  const at::Tensor error = wide() ? both - prediction : gradients(1e6, losses) / 1e6;
  expect_near(error, want.at("grad_lq_kv_tuned"));
}

INSTANTIATE_TEST_SUITE_P(Recorded, CushionCacheModels,
                         ::testing::Values(Case{"opt-tiny", at::kFloat},
                                           Case{"opt-tiny", at::kDouble},
                                           Case{"llama-tiny", at::kFloat},
                                           Case{"llama-tiny", at::kDouble}));

TEST(CushionCacheParity, a_planted_sink_takes_one_token) {
  ASSAY_NEEDS_PARITY_DATA();
  const at::NoGradGuard no_gradients;
  const Json planted = records()["opt-tiny_planted"];
  const models::TensorMap want = parity_tensors("llm/cushioncache/opt-tiny_planted.safetensors");
  const auto network = parity_language_model("opt-tiny", at::kFloat);
  network->parameters()
      .at("model.decoder.embed_positions.weight")[2][planted["channel"].get<std::int64_t>()]
      .add_(planted["added"].get<double>());
  models::Untapped none;
  EXPECT_NEAR(nll_of_first_tokens(*network, none), planted["nll_planted"].get<double>(), 1e-4);
  SearchOptions options{.error = error_with(255)};
  options.candidates = frequent_ids(at::zeros({1, 1}, at::kLong), 256, 0);
  const at::Tensor texts = at::stack({want.at("search0.text"), want.at("search1.text")});
  const SearchState found = search(*network, texts, options);
  ASSERT_EQ(found.steps.size(), 1);
  EXPECT_EQ(found.steps[0].token, planted["search0"]["best"].get<std::int64_t>());
  EXPECT_NEAR(found.steps[0].after / found.steps[0].before,
              planted["search0"]["ratio"].get<double>(), 1e-3);
}

}  // namespace
}  // namespace assay::cushioncache
