#include "harness/plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/harness/plan/planner_fixture.h"
#include "tests/support/refusal.h"

namespace assay::plan {
namespace {

using assay::testing::kModels;
using assay::testing::refusal;
using ::testing::HasSubstr;

TEST_F(Planner, trials_share_the_stages_that_they_agree_in) {
  EXPECT_EQ(labels(plan("trials:\n"
                        "  - {model: vit, method: [float, psaq_vit], bits: [W8A8, W4A8]}\n"
                        "evaluate: [{metric: top1}, {metric: latency}]\n")),
            "0 top1.evaluate vit fashion test [0/2]\n"
            "1 top1.evaluate vit fashion test [1/2]\n"
            "2 top1.merge <shard.0:0 <shard.1:1\n"
            "3 latency.time vit\n"
            "4 psaq_vit.synthesize vit seed=0\n"
            "5 psaq_vit.quantize vit W8A8 seed=0 <images:4\n"
            "6 top1.evaluate vit fashion test W8A8 [0/2] <network:5\n"
            "7 top1.evaluate vit fashion test W8A8 [1/2] <network:5\n"
            "8 top1.merge <shard.0:6 <shard.1:7\n"
            "9 latency.time vit W8A8 <network:5\n"
            "10 psaq_vit.quantize vit W4A8 seed=0 <images:4\n"
            "11 top1.evaluate vit fashion test W4A8 [0/2] <network:10\n"
            "12 top1.evaluate vit fashion test W4A8 [1/2] <network:10\n"
            "13 top1.merge <shard.0:11 <shard.1:12\n"
            "14 latency.time vit W4A8 <network:10\n"
            "vit float: 0 1 2 3 -> top1@2 latency@3 net -1\n"
            "vit psaq_vit W8A8 seed=0: 4 5 6 7 8 9 -> top1@8 latency@9 net 5\n"
            "vit psaq_vit W4A8 seed=0: 4 10 11 12 13 14 -> top1@13 latency@14 net 10\n");
}

TEST_F(Planner, compositions_hand_their_network_on_and_inputs_read_their_own_split) {
  EXPECT_EQ(
      labels(plan("trials:\n"
                  "  - {model: opt, method: [gptq, smoothquant + gptq], bits: [W4A16, W4A8]}\n"
                  "evaluate: [{metric: perplexity}]\n")),
      "0 tokenize opt text train\n"
      "1 sample opt calibration_seed=0 <tokens:0\n"
      "2 gptq.quantize opt W4A16 <samples:1\n"
      "3 tokenize opt text test\n"
      "4 perplexity.evaluate opt W4A16 <network:2 <tokens:3\n"
      "5 gptq.quantize opt W4A8 <ranges:1 <samples:1\n"
      "6 perplexity.evaluate opt W4A8 <network:5 <tokens:3\n"
      "7 smoothquant.smooth opt <samples:1\n"
      "8 gptq.quantize opt W4A16 <network:7 <samples:1\n"
      "9 perplexity.evaluate opt W4A16 <network:8 <network.0:7 <tokens:3\n"
      "10 gptq.quantize opt W4A8 <network:7 <ranges:1 <samples:1\n"
      "11 perplexity.evaluate opt W4A8 <network:10 <network.0:7 <tokens:3\n"
      "opt gptq W4A16 calibration_seed=0: 0 1 2 3 4 -> perplexity@4 net 2\n"
      "opt gptq W4A8 calibration_seed=0: 0 1 3 5 6 -> perplexity@6 net 5\n"
      "opt smoothquant + gptq W4A16 calibration_seed=0: 0 1 3 7 8 9 -> perplexity@9 net 8\n"
      "opt smoothquant + gptq W4A8 calibration_seed=0: 0 1 3 7 10 11 -> perplexity@11 net 10\n");
}

TEST_F(Planner, every_stage_of_a_composition_gets_all_networks_before_it) {
  EXPECT_EQ(labels(plan("trials:\n"
                        "  - {model: opt, method: rtn + rtn + float + gptq, bits: W4A16}\n"
                        "evaluate: [{metric: perplexity}]\n")),
            "0 rtn.quantize opt W4A16\n"
            "1 rtn.quantize opt W4A16 <network:0\n"
            "2 tokenize opt text train\n"
            "3 sample opt calibration_seed=0 <tokens:2\n"
            "4 gptq.quantize opt W4A16 <network:1 <network.0:0 <samples:3\n"
            "5 tokenize opt text test\n"
            "6 perplexity.evaluate opt W4A16 <network:4 <network.0:0 <network.1:1 <tokens:5\n"
            "opt rtn + rtn + float + gptq W4A16 calibration_seed=0: 0 1 2 3 4 5 6 -> "
            "perplexity@6 net 4\n");
}

TEST_F(Planner, values_of_a_method_are_figures_of_the_stage_that_makes_the_network) {
  for (MethodDeclaration& method : catalogue_.methods) {
    if (method.name == "gptq") method.values = {{.name = "bits_per_weight", .primary = true}};
  }
  const Plan made = plan(
      "trials:\n  - {model: opt, method: [float, gptq, gptq + rtn, gptq + float], bits: W4A16}\n"
      "evaluate: [{metric: perplexity}]\n");
  ASSERT_EQ(made.trials.size(), 4U);
  EXPECT_EQ(made.trials[0].metrics.size(), 1U);
  ASSERT_EQ(made.trials[1].metrics.size(), 2U);
  const PlannedMetric& own = made.trials[1].metrics[1];
  EXPECT_EQ(own.metric, "network");
  EXPECT_EQ(own.values->at(0).name, "bits_per_weight");
  EXPECT_EQ(static_cast<int>(own.stage), made.trials[1].network_stage);
  EXPECT_EQ(made.trials[2].metrics.size(), 1U);  // rtn, the last one, tells nothing
  ASSERT_EQ(made.trials[3].metrics.size(), 2U);
  EXPECT_EQ(static_cast<int>(made.trials[3].metrics[1].stage), made.trials[3].network_stage);
}

TEST_F(Planner, the_canary_of_a_method_precedes_its_networks_and_is_no_part_of_a_trial) {
  const std::string block =
      "trials:\n  - {model: opt, method: [gptq, smoothquant + gptq], bits: W4A8, seed: 3}\n"
      "evaluate: [{metric: perplexity, split: test}]\n";
  const Plan without = plan(block);
  catalogue_.stages.push_back({.name = "gptq.canary"});
  for (MethodDeclaration& method : catalogue_.methods) {
    if (method.name == "gptq") method.canary = "gptq.canary";
  }
  const Plan with = plan(block);
  EXPECT_EQ(with.stages.size(), without.stages.size() + 1) << "it runs once";
  const auto canary = [](const Plan& plan) {
    return std::find_if(plan.stages.begin(), plan.stages.end(),
                        [](const Stage& stage) { return stage.name == "gptq.canary"; });
  };
  const auto check = [&](const Plan& plan, std::size_t networks) {
    const auto first = canary(plan);
    ASSERT_NE(first, plan.stages.end());
    std::size_t waiting = 0;
    for (auto stage = plan.stages.begin(); stage != plan.stages.end(); ++stage) {
      if (stage->canary.empty()) continue;
      EXPECT_EQ(stage->name, "gptq.quantize");
      EXPECT_EQ(stage->canary, first->key);
      EXPECT_LT(first - plan.stages.begin(), stage - plan.stages.begin());
      ++waiting;
    }
    EXPECT_EQ(waiting, networks);
  };
  check(with, 2);
  const auto index = static_cast<std::size_t>(canary(with) - with.stages.begin());
  for (std::size_t i = 0; i < with.trials.size(); ++i) {
    EXPECT_EQ(with.trials[i].id, without.trials[i].id);
    EXPECT_THAT(with.trials[i].stages, ::testing::Contains(index));
  }
  const Plan kept = filter_trials(with, "method == 'smoothquant + gptq'");
  EXPECT_LT(kept.stages.size(), with.stages.size());
  check(kept, 1);
}

TEST_F(Planner, a_foreign_method_is_calibrated_on_a_built_in_stage_and_has_its_own_numerics) {
  Catalogue foreign;
  foreign.provider = "paper";
  foreign.version = "1.2";
  foreign.stages = {{.name = "paper.quantize",
                     .reads_model = true,
                     .inputs = {{.name = "samples", .stage = "sample", .split = "train"}}}};
  foreign.methods = {{.name = "paper",
                      .families = {"opt"},
                      .parameters = catalogue_.find_method("gptq")->parameters,
                      .calibration = "calibration",
                      .network = "paper.quantize"}};
  const assay::TemporaryFolder folder;
  digests_.files[(folder.path() / "a.txt").string()] = "training text";
  const auto planned = [&] {
    const std::vector<Catalogue> both{catalogue_, foreign};
    spec::Sweep loaded = spec::load_sweep(
        folder.write("a.yaml", std::string(kModels) +
                                   "evaluate: []\n"
                                   "trials: [{model: opt, method: [paper, gptq], bits: W4A16}]\n"),
        {}, joined(both));
    loaded.run.cpu_level = "avx2";
    return make_plan(loaded, both, digests_);
  };
  const Plan made = planned();
  const Json inputs = stage(made, "paper.quantize").recipe_json().at("inputs");
  EXPECT_EQ(inputs.at("samples"), stage(made, "sample").key.str());
  EXPECT_EQ(stage(made, "gptq.quantize").recipe_json().at("inputs").at("samples"),
            inputs.at("samples"))
      << "both are calibrated on the same windows";
  EXPECT_EQ(stage(made, "paper.quantize").recipe_json().at("numerics").at("cpu_level"), "avx2");
  foreign.numerics = {{"torch", "2.15"}};
  EXPECT_EQ(stage(planned(), "paper.quantize").recipe_json().at("numerics"),
            Json::parse(R"({"device": "cpu", "precision": "float32", "threads": 1,
                            "torch": "2.15"})"));
}

TEST_F(Planner, the_metric_is_fanned_out_and_merged_even_if_there_is_one_shard) {
  const std::string block =
      "trials: [{model: vit, method: float}]\nevaluate: [{metric: top1, shards: ";
  const Plan one = plan(block + "1}]\n");
  ASSERT_EQ(one.stages.size(), 2U);
  EXPECT_EQ(one.stages[0].recipe_json().at("shard"), Json::parse("[0, 1]"));
  EXPECT_EQ(one.stages[0].label, "top1.evaluate vit fashion test");
  EXPECT_EQ(one.stages[1].inputs.size(), 1U);
  EXPECT_FALSE(one.stages[1].recipe_json().contains("shard"));
  const Plan twelve = plan(block + "12}]\n");
  ASSERT_EQ(twelve.stages.size(), 13U);
  EXPECT_EQ(twelve.stages[12].inputs.size(), 12U);
  EXPECT_EQ(twelve.trials[0].stages.size(), 13U);
  EXPECT_EQ(twelve.trials[0].metrics[0].stage, 12U);
  // The number of shards does not move a result, so it is no part of the protocol.
  EXPECT_EQ(one.trials[0].metrics[0].protocol, twelve.trials[0].metrics[0].protocol);
}

// What no method changes is computed once for all trials, in parts as the metric that reads it.
TEST_F(Planner, an_input_of_the_same_shard_is_fanned_out_with_its_consumer) {
  catalogue_.stages.push_back(
      {.name = "top1.before", .reads = {"limit"}, .reads_model = true, .reads_data = true});
  for (StageDeclaration& stage : catalogue_.stages) {
    if (stage.name != "top1.evaluate") continue;
    stage.inputs = {{.name = "before", .stage = "top1.before", .same_shard = true},
                    {.name = "whole", .stage = "top1.before"}};
  }
  const Plan made = plan(
      "trials: [{model: vit, method: [float, rtn], bits: W8A8}]\n"
      "evaluate: [{metric: top1, shards: 3}]\n");
  std::map<std::string, Json> before;  // shard by key
  for (const Stage& each : made.stages) {
    if (each.name == "top1.before") before[each.key] = each.recipe_json().value("shard", Json());
  }
  EXPECT_THAT(before, ::testing::SizeIs(4));  // three parts, and the whole
  int evaluations = 0;
  for (const Stage& each : made.stages) {
    if (each.name != "top1.evaluate") continue;
    ++evaluations;
    const Json recipe = each.recipe_json();
    EXPECT_EQ(before.at(recipe.at("inputs").at("before")), recipe.at("shard"));
    EXPECT_EQ(before.at(recipe.at("inputs").at("whole")), Json());
  }
  EXPECT_EQ(evaluations, 6);
  EXPECT_EQ(stage(made, "top1.before").label, "top1.before vit fashion test [0/3]");
  EXPECT_EQ(catalogue_from(to_json(catalogue_)), catalogue_);
}

TEST_F(Planner, a_metric_that_nothing_merges_is_one_stage) {
  const Plan made =
      plan("trials: [{model: opt, method: float}]\nevaluate: [{metric: perplexity}]\n");
  EXPECT_EQ(stage(made, "perplexity.evaluate").recipe_json().at("shard"), Json::parse("[0, 1]"));
}

TEST_F(Planner, the_protocol_names_settings_split_and_data) {
  const Plan made = plan(kLanguage);
  const Json& protocol = *made.trials[0].metrics[0].protocol;
  EXPECT_EQ(protocol.at("context"), 64);
  EXPECT_EQ(protocol.at("limit"), 0);
  EXPECT_EQ(protocol.at("split"), "test");
  EXPECT_EQ(protocol.at("data").get<std::string>().size(), 16U);
  digests_.files["/d/b.txt"] = "changed";
  spec::Sweep changed = sweep(kLanguage);
  digests_.files["/d/b.txt"] = "changed";
  EXPECT_NE(make_plan(changed, catalogue_, digests_).trials[0].metrics[0].protocol,
            Shared<Json>(protocol));
}

TEST_F(Planner, a_limit_applies_to_all_metrics_that_have_one) {
  const Plan made = plan(
      "trials: [{model: opt, method: float}]\n"
      "evaluate: [{metric: perplexity, limit: [0, 5, 500]}, {metric: latency}]\n",
      {.limit = 64});
  const auto& metrics = made.trials[0].metrics;
  ASSERT_EQ(metrics.size(), 3U) << "0 and 500 are the same now";
  EXPECT_EQ(metrics[0].protocol->at("limit"), 64);
  EXPECT_EQ(metrics[1].protocol->at("limit"), 5);
  EXPECT_FALSE(metrics[2].protocol->contains("limit"));
}

TEST_F(Planner, entries_that_differ_in_their_shards_measure_the_same_once) {
  const std::string trials = "trials: [{model: vit, method: float}]\n";
  const Plan one = plan(trials + "evaluate: [{metric: top1, shards: 2}]\n");
  const Plan both =
      plan(trials + "evaluate: [{metric: top1, shards: 2}, {metric: top1, shards: 4}]\n");
  EXPECT_EQ(labels(both), labels(one));
  EXPECT_EQ(both.trials[0].metrics.size(), 1U);
}

TEST_F(Planner, a_label_names_the_step_that_a_parameter_belongs_to) {
  const std::string block = "trials:\n  - {model: opt, method: \"gptq + gptq\", bits: W4A16, ";
  const std::string first = plan(block + "gptq: {damping: 0.5}}\n").trials[0].label;
  EXPECT_THAT(first, ::testing::HasSubstr(" gptq.damping=0.5"));
}

TEST_F(Planner, without_sharing_no_stage_serves_two_trials) {
  const Plan shared = plan(kVision);
  const Plan made = plan(kVision, {.share = false});
  std::size_t uses = 0;
  std::set<std::size_t> seen;
  for (const PlannedTrial& trial : made.trials) {
    for (const std::size_t each : trial.stages) EXPECT_TRUE(seen.insert(each).second);
    uses += trial.stages.size();
  }
  EXPECT_EQ(uses, made.stages.size());
  EXPECT_GT(made.stages.size(), shared.stages.size());
  EXPECT_EQ(made.stages[0].recipe_json().at("unshared").get<std::string>().size(), 16U);
  EXPECT_EQ(made.trials[0].id, shared.trials[0].id);
}

TEST_F(Planner, extra_stages_and_training_data_are_part_of_a_trial) {
  const Plan made = plan("trials: [{model: resnet, method: train, seed: 4}]\n");
  ASSERT_EQ(made.trials[0].stages.size(), 2U);
  const Stage& fit = stage(made, "train.fit");
  EXPECT_EQ(fit.recipe_json().at("model"),
            Json::parse(R"({"family": "resnet", "config": {"depth": 20, "classes": 10}})"));
  EXPECT_FALSE(fit.locations->contains("model"));
  EXPECT_EQ(fit.recipe_json().at("data").at("split"), "train");
  EXPECT_EQ(made.trials[0].network_stage, 0);
}

TEST_F(Planner, pairs_left_out_are_recorded_with_their_reason) {
  const Plan made = plan(
      "trials:\n  - {model: [vit, opt], method: float}\n"
      "evaluate: [{metric: top1}, {metric: perplexity}]\n");
  ASSERT_EQ(made.left_out.size(), 2U);
  EXPECT_EQ(made.left_out[0].metric, "perplexity");
  EXPECT_EQ(made.left_out[0].trial, made.trials[0].id);
  EXPECT_THAT(made.left_out[0].reason, HasSubstr("for language"));
}

TEST_F(Planner, a_stage_that_rests_on_itself_is_refused) {
  catalogue_.stages[0].inputs = {{.name = "x", .stage = "gptq.quantize"}};
  EXPECT_THAT(error(kVision), HasSubstr("rests on itself"));
}

TEST_F(Planner, a_filter_keeps_the_trials_and_the_stages_they_need) {
  const Plan made = plan(kVision);
  const Plan kept = filter_trials(made, "method == 'psaq_vit' and seed == 1 and w_bits == 4");
  EXPECT_EQ(labels(kept),
            "0 psaq_vit.synthesize vit seed=1\n"
            "1 psaq_vit.quantize vit W4A8 seed=1 <images:0\n"
            "2 top1.evaluate vit fashion test W4A8 [0/2] <network:1\n"
            "3 top1.evaluate vit fashion test W4A8 [1/2] <network:1\n"
            "4 top1.merge <shard.0:2 <shard.1:3\n"
            "5 latency.time vit W4A8 <network:1\n"
            "vit psaq_vit W4A8 seed=1: 0 1 2 3 4 5 -> top1@4 latency@5 net 1\n");
  EXPECT_EQ(filter_trials(made, "images == 32").trials.size(), 4U);
  EXPECT_EQ(filter_trials(made, "id == '" + made.trials[0].id + "'").trials.size(), 1U);
  EXPECT_THAT(refusal([&] { filter_trials(made, "seed > 1"); }), HasSubstr("no trial of 5 fits"));
  EXPECT_THAT(refusal([&] { filter_trials(made, "sed > 1"); }), HasSubstr("did you mean 'seed'?"));
  EXPECT_THAT(refusal([&] { filter_trials(made, "ablation == 'base'"); }),
              HasSubstr("the sweep has no ablation"));
}

}  // namespace
}  // namespace assay::plan
