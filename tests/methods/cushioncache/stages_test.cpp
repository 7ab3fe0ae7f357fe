// The stages of cushioncache on the tiny OPT network with a planted attention sink.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/models/tensor_file.h"
#include "methods/cushioncache/method.h"
#include "methods/quant/canary.h"
#include "methods/quant/quantized_model.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::cushioncache {
namespace {

using ::testing::HasSubstr;
using testing::refusal;

std::unique_ptr<models::Network> planted(StageContext&) {
  std::unique_ptr<models::Network> network = quant::canary_network("opt");
  network->parameters().at("model.decoder.embed_positions.weight")[2][5].add_(100);
  return network;
}

class CushionStages : public ::testing::Test {
 protected:
  CushionStages() {
    models::save_tensors(
        tokens_.path() / "tokens.safetensors",
        {{"tokens", quant::canary_inputs(*quant::canary_network("opt"), 6).to(at::kInt)}});
  }

  static Json parameters(const Json& given = Json::object()) {
    Json all = {{"context", 32}, {"samples", 12}, {"max_prefix", 4},      {"candidates", 8},
                {"batch", 2},    {"epochs", 3},   {"learning_rate", 1e-2}};
    all.update(given);
    return parameters_of(cushioncache_method().declaration, all, 16, 8);
  }

  Json run(const std::string& stage, FakeContext& context) {
    context.inputs["tokens"] = tokens_.path();
    return body_of(implementations(cushioncache_method(), planted), stage)(context);
  }

  // Both stages, the one behind the other.
  Json run_both(FakeContext& found, FakeContext& tuned) {
    run("cushioncache.search", found);
    tuned.inputs["search"] = found.output();
    return run("cushioncache.prefix", tuned);
  }

  static models::Prefix prefix_in(FakeContext& context) {
    return quant::load_quantized(context.output()).prefix;
  }

  static std::string bytes(FakeContext& context) {
    return read_file(context.output() / "prefix.safetensors");
  }

  TemporaryFolder tokens_;
};

TEST_F(CushionStages, find_a_token_and_tune_what_it_leaves) {
  FakeContext found(parameters()), tuned(parameters());
  const Json result = run_both(found, tuned);
  EXPECT_EQ(result["metrics"]["prefix_tokens"], 1);
  EXPECT_EQ(result["metrics"]["quantized_layers"], 0);
  EXPECT_EQ(prefix_in(found).length(), 1);
  EXPECT_FALSE(prefix_in(found).units()[1].keys.equal(prefix_in(tuned).units()[1].keys));
  EXPECT_GT(tuned.metrics.at("prediction_loss"), 0);
  FakeContext passed(parameters({{"tune", false}}));
  passed.inputs["search"] = found.output();
  run("cushioncache.prefix", passed);
  EXPECT_EQ(bytes(passed), bytes(found));
}

TEST_F(CushionStages, an_empty_prefix_leaves_the_network_as_it_is_and_says_so) {
  FakeContext found(parameters({{"tau", 0.0}})), tuned(parameters());
  EXPECT_THAT(run("cushioncache.search", found)["note"].get<std::string>(),
              HasSubstr("no token lowers the quantization error"));
  tuned.inputs["search"] = found.output();
  EXPECT_EQ(run("cushioncache.prefix", tuned)["metrics"]["prefix_tokens"], 0);
  EXPECT_TRUE(prefix_in(tuned).empty());
}

TEST_F(CushionStages, a_stopped_search_goes_on_to_the_same_bytes) {
  const Json all = {{"tau", 0.99}, {"max_prefix", 2}, {"candidates", 0}};
  FakeContext whole(parameters(all)), broken(parameters(all));
  run("cushioncache.search", whole);
  int stops = 0;
  for (broken.stop_after = 20; stops < 20; ++stops) {
    if (refusal([&] { run("cushioncache.search", broken); }) == "no error") break;
    broken.stop = false;
    broken.stop_after += 31;
  }
  EXPECT_GT(stops, 2);
  EXPECT_LT(stops, 20);
  EXPECT_EQ(bytes(whole), bytes(broken));
  EXPECT_EQ(read_file(whole.output() / "search.json"), read_file(broken.output() / "search.json"));
}

TEST_F(CushionStages, a_stopped_tuning_goes_on_to_the_same_bytes) {
  FakeContext found(parameters()), whole(parameters()), broken(parameters());
  run_both(found, whole);
  broken.inputs["search"] = found.output();
  broken.stop_after = 4;
  EXPECT_THAT(refusal([&] { run("cushioncache.prefix", broken); }), HasSubstr("stopped after"));
  broken.stop = false;
  broken.stop_after = 1000;
  run("cushioncache.prefix", broken);
  EXPECT_EQ(bytes(whole), bytes(broken));
}

TEST_F(CushionStages, every_option_matters) {
  FakeContext found(parameters({{"tau", 0.99}})), tuned(parameters());
  run_both(found, tuned);
  for (const Json& given : std::vector<Json>{{{"tau", 0.5}},
                                             {{"max_prefix", 1}},
                                             {{"start", {3}}},
                                             {{"candidate_ids", {1, 2}}},
                                             {{"candidates", 2}},
                                             {{"act", "token"}},
                                             {{"scale_denominator", "full"}},
                                             {{"search_texts", 2}},
                                             {{"search_length", 9}}}) {
    Json all = {{"tau", 0.99}};
    all.update(given);
    FakeContext context(parameters(all));
    run("cushioncache.search", context);
    EXPECT_NE(read_file(found.output() / "search.json") + bytes(found),
              read_file(context.output() / "search.json") +
                  (prefix_in(context).empty() ? "" : bytes(context)))
        << given;
  }
  for (const Json& given : std::vector<Json>{{{"lambda", 1.0}},
                                             {{"epochs", 4}},
                                             {{"learning_rate", 1e-3}},
                                             {{"batch", 3}},
                                             {{"prediction", "quantized"}},
                                             {{"act", "token"}},
                                             {{"scale_denominator", "full"}}}) {
    FakeContext context(parameters(given));
    context.inputs["search"] = found.output();
    run("cushioncache.prefix", context);
    EXPECT_NE(bytes(tuned), bytes(context)) << given;
  }
  FakeContext other_seed(parameters(), 7);
  other_seed.inputs["search"] = found.output();
  run("cushioncache.prefix", other_seed);
  EXPECT_NE(bytes(tuned), bytes(other_seed));
}

TEST_F(CushionStages, what_cannot_be_is_refused_before_it_runs) {
  const auto network = quant::canary_network("opt");
  const auto check = [&](const Json& given, Rounding before = {}) {
    FakeContext context(parameters(given));
    return refusal([&] {
      cushioncache_method().stages[0].check(
          {.context = context, .network = *network, .samples = {}, .before = before});
    });
  };
  EXPECT_EQ(check(Json::object()), "no error");
  EXPECT_THAT(check({{"start", {64}}}), HasSubstr("start: 64 is no id"));
  EXPECT_THAT(check({{"candidate_ids", {3, 99}}}), HasSubstr("candidate_ids: 99 is no id"));
  EXPECT_THAT(check({{"start", {1, 2, 3, 4, 5}}}), HasSubstr("max_prefix: 5 or more"));
  EXPECT_THAT(check({{"max_prefix", 32}}), HasSubstr("max_prefix: 30 or less"));
  EXPECT_THAT(check(Json::object(), {.activations = true}), HasSubstr("let that one follow"));
  EXPECT_THAT(check(Json::object(), {.prefix = 3}), HasSubstr("a network has one prefix"));
  EXPECT_THAT(check({{"search_length", 29}}), HasSubstr("search_length: 28 or less"));
  EXPECT_THAT(check({{"context", 9}, {"search_length", 10}}),
              HasSubstr("search_length: 9 or less"));
  EXPECT_THAT(check({{"search_texts", 13}}), HasSubstr("search_texts: 12 or less"));
  FakeContext one_token(parameters({{"context", 1}}));
  EXPECT_THAT(refusal([&] {
                cushioncache_method().stages[1].check(
                    {.context = one_token, .network = *network, .samples = {}, .before = {}});
              }),
              HasSubstr("write context: 2 or more, or tune: false"));
}

// Raise the stages' revisions when these numbers move on purpose.
TEST_F(CushionStages, golden_output_of_revisions_1_and_2) {
  const Method method = cushioncache_method();
  ASSERT_EQ(method.stages.size(), 2);
  EXPECT_EQ(method.stages[0].declaration.revision, 1);
  EXPECT_EQ(method.stages[1].declaration.revision, 2);
  FakeContext found(parameters()), tuned(parameters());
  run_both(found, tuned);
  const Json search = parse_json(read_file(found.output() / "search.json"), "search.json");
  ASSERT_EQ(search["steps"].size(), 1);
  EXPECT_NEAR(search["steps"][0]["after"].get<double>(), 0.63351, 1e-4);
  double sum = 0;
  const models::Prefix prefix = prefix_in(tuned);
  for (const models::KeyValues& pair : prefix.units()) {
    sum += pair.keys.abs().sum().item<double>() + pair.values.abs().sum().item<double>();
  }
  EXPECT_NEAR(sum, 62.693, 2e-2);
}

}  // namespace
}  // namespace assay::cushioncache
