#include "results/store/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "tests/results/sample_run.h"

namespace assay::results {
namespace {

Fingerprint of(const plan::Plan& plan, std::size_t trial, Json result = Json::object()) {
  return fingerprint_of(Protocols(plan).planned(plan.trials[trial].metrics[0]), result);
}

Json with(Json object, const char* name, Json value) {
  object[name] = std::move(value);
  return object;
}

TEST(fingerprint, does_not_depend_on_the_trial) {
  const SamplePlan sample = SamplePlan().trial("rtn", "W8A8").trial("psaq_vit", "W4A8", 2);
  EXPECT_EQ(of(sample.plan(), 0).digest, of(sample.plan(), 1).digest);
}

TEST(fingerprint, depends_on_data_settings_revision_split_and_what_was_measured) {
  SamplePlan sample = SamplePlan().trial("rtn", "W8A8");
  const std::string base = of(sample.plan(), 0).digest;
  EXPECT_NE(base, of(SamplePlan().trial("rtn", "W8A8", -1, "d2").plan(), 0).digest);
  EXPECT_NE(base, of(sample.plan(), 0, {{"fingerprint", {{"dtype", "float16"}}}}).digest);
  for (const auto& change : std::vector<std::function<void(plan::Plan&)>>{
           [](plan::Plan& p) {
             p.trials[0].metrics[0].protocol = Json{{"limit", 10}};
           },
           [](plan::Plan& p) { p.trials[0].metrics[0].split = "train"; },
           [](plan::Plan& p) {
             p.stages.back().recipe = with(p.stages.back().recipe_json(), "revision", 4);
           }}) {
    plan::Plan changed = sample.plan();
    change(changed);
    EXPECT_NE(base, of(changed, 0).digest);
  }
}

TEST(fingerprint, of_merged_shards_has_the_data_of_the_shards_once) {
  SamplePlan sample = SamplePlan().trial("rtn", "W8A8");
  plan::Plan& plan = sample.plan();
  const std::string one_piece = of(plan, 0).fields["data"].dump();
  const plan::Stage shard = plan.stages.back();
  plan::Stage merge;
  merge.name = "evaluate.merge";
  merge.key = std::string(64, 'a');
  merge.recipe = Json::object();
  for (int i = 0; i < 2; ++i) {
    plan::Stage part = shard;
    part.key = std::string(64, static_cast<char>('b' + i));
    part.recipe = with(part.recipe_json(), "shard", {i, 2});
    merge.inputs.push_back({"shard" + std::to_string(i), part.key});
    plan.stages.push_back(part);
  }
  plan.stages.push_back(merge);
  plan.trials[0].metrics[0].stage = plan.stages.size() - 1;
  const Json fields = of(plan, 0).fields;
  EXPECT_EQ(fields["data"].dump(), one_piece);
  EXPECT_EQ(fields["evaluator"], Json({{"evaluate", 3}, {"evaluate.merge", 1}}));
}

TEST(fingerprint, of_two_versions_of_a_provider_differ) {
  std::set<std::string> digests;
  for (const char* version : {"1.2", "1.3"}) {
    SamplePlan sample = SamplePlan().trial("rtn", "W8A8");
    plan::Stage& evaluate = sample.plan().stages.back();
    evaluate.recipe =
        with(evaluate.recipe_json(), "provider", {{"name", "paper"}, {"version", version}});
    digests.insert(of(sample.plan(), 0).digest);
  }
  EXPECT_EQ(digests.size(), 2u);
}

TEST(fingerprint, of_what_a_provider_should_not_say_is_still_a_fingerprint) {
  const Json planned = {{"metric", "top1"}};
  EXPECT_EQ(fingerprint_of(planned, Json::array()).digest, fingerprint_of(planned, {}).digest);
  const Json huge = {{"fingerprint", {{"tokens", std::uint64_t{1} << 60}}}};
  EXPECT_EQ(fingerprint_of(planned, huge).digest.size(), 64u);
}

TEST(protocol_differences, names_each_field_that_differs) {
  const Json a = {{"settings", {{"context", 2048}, {"bos", "once"}}}, {"split", "test"}};
  const Json b = {{"settings", {{"context", 1024}, {"bos", "once"}}}, {"extra", true}};
  EXPECT_THAT(protocol_differences(a, b),
              ::testing::ElementsAre("extra: (absent) and true", "settings.context: 2048 and 1024",
                                     "split: test and (absent)"));
  EXPECT_TRUE(protocol_differences(a, a).empty());
}

// 0 may stand for the network's own context.
TEST(fingerprint, what_was_in_effect_takes_the_place_of_how_the_sweep_spelled_it) {
  const auto of = [](const Json& settings, const Json& measured) {
    return fingerprint_of({{"settings", settings}}, {{"fingerprint", measured}}).digest;
  };
  const std::string spelled = of({{"context", 0}, {"chunk", 4}}, {{"context", 128}});
  EXPECT_EQ(of({{"context", 128}, {"chunk", 4}}, {{"context", 128}}), spelled);
  EXPECT_NE(of({{"context", 0}, {"chunk", 4}}, {{"context", 64}}), spelled);
  EXPECT_NE(of({{"context", 0}, {"chunk", 8}}, {{"context", 128}}), spelled);
  EXPECT_NE(of({{"context", 0}, {"chunk", 4}}, Json::object()), spelled);
}

}  // namespace
}  // namespace assay::results
