#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/base/digest.h"
#include "harness/plan/planner.h"
#include "tests/harness/plan/planner_fixture.h"
#include "tests/support/refusal.h"

namespace assay::plan {
namespace {

using assay::testing::kModels;
using assay::testing::refusal;
using ::testing::HasSubstr;

TEST_F(Planner, a_parameter_that_is_not_read_has_its_default_in_the_recipe) {
  for (MethodDeclaration& method : catalogue_.methods) {
    if (method.name == "gptq") method.parameters[0].when = "damping=1";
  }
  const Plan made = plan(
      "trials:\n"
      "  - {model: opt, method: gptq, bits: W4A16, damping: [0.5, 1], group: [32, 64]}\n");
  ASSERT_EQ(made.trials.size(), 3U);
  EXPECT_EQ(made.trials[0].label, "opt gptq W4A16 calibration_seed=0 damping=0.5");
  EXPECT_EQ(made.trials[1].label, "opt gptq W4A16 calibration_seed=0 group=32 damping=1");
  std::vector<Json> groups;
  for (const PlannedTrial& trial : made.trials) {
    const Stage& made_by = made.stages[static_cast<std::size_t>(trial.network_stage)];
    groups.push_back(made_by.recipe_json()["parameters"]["group"]);
  }
  EXPECT_EQ(groups, (std::vector<Json>{-1, 32, 64}));
}

TEST_F(Planner, keys_are_digests_of_canonical_recipes_and_inputs_come_first) {
  for (const char* text : {kVision, kLanguage}) {
    std::set<std::string> seen;
    for (const Stage& each : plan(text).stages) {
      EXPECT_EQ(each.key, sha256(canonical_json(each.recipe_json()))) << each.label;
      for (const StageInput& input : each.inputs) {
        EXPECT_TRUE(seen.contains(input.key)) << each.label;
        EXPECT_EQ(each.recipe_json().at("inputs").at(input.name.str()), input.key.str());
      }
      EXPECT_TRUE(seen.insert(each.key).second) << each.label;
    }
  }
}

TEST_F(Planner, a_recipe_holds_what_its_stage_declares_and_nothing_else) {
  const Plan made = plan("trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n");
  EXPECT_EQ(stage(made, "tokenize").recipe_json(), Json::parse(R"({
    "stage": "tokenize", "revision": 1, "parameters": {}, "inputs": {},
    "model": {"family": "opt", "files": [{"role": "tokenizer", "name": "tokenizer.json",
      "digest": ")" + sha256("tokenizer of /m/opt") + R"("}]},
    "data": {"reader": "text", "parameters": {"join": "file"}, "split": "train",
      "files": [{"role": "", "name": "a.txt", "digest": ")" + sha256("training text") +
                                                               R"("}]}})"));
  EXPECT_EQ(*stage(made, "tokenize").locations, Json::parse(R"({
    "model": {"path": "/m/opt", "files": [
      {"role": "tokenizer", "name": "tokenizer.json", "path": "/m/opt/tokenizer.json",
       "identity": {"size_bytes": 19, "mtime_ns": 1, "ctime_ns": 2, "inode": 3}}]},
    "data": {"files": [{"role": "", "name": "a.txt", "path": "/d/a.txt",
       "identity": {"size_bytes": 13, "mtime_ns": 1, "ctime_ns": 2, "inode": 3}}]}})"));
  const Stage& quantize = stage(made, "gptq.quantize");
  EXPECT_EQ(quantize.recipe_json(), Json::parse(R"({
    "stage": "gptq.quantize", "revision": 2,
    "parameters": {"group": -1, "damping": 0.01, "w_bits": 4, "a_bits": 16},
    "inputs": {"samples": ")" + stage(made, "sample").key +
                                                R"("},
    "model": {"family": "opt", "files": [
      {"role": "config", "name": "config.json", "digest": ")" +
                                                sha256("config of /m/opt") + R"("},
      {"role": "weights", "name": "model.safetensors", "digest": ")" +
                                                sha256("weights of /m/opt") + R"("}]},
    "numerics": {"device": "cpu", "threads": 1, "precision": "float32", "libtorch": "2.15",
                  "cpu_level": "avx2", "mkl": "other"}})"));
  EXPECT_EQ(stage(made, "sample").recipe_json().at("seed"), 3);
  EXPECT_EQ(quantize.provider, "assay");
  EXPECT_EQ(quantize.resources.memory_bytes, 1 << 20);
  EXPECT_EQ(quantize.residency.size(), 16U);
}

// Keys must not move by themselves: this one changes only if recipes change, which makes every
// artifact that users have worthless.
TEST_F(Planner, a_key_is_the_same_in_every_version) {
  const Plan made = plan("trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n");
  EXPECT_EQ(stage(made, "gptq.quantize").key,
            "298dee53d6e5d63b64c4929d83b44a78db2ef0daf2788878b30531619aa9c0cd");
  EXPECT_EQ(made.trials[0].id, "bed90af30ed22cd2");
}

TEST_F(Planner, other_bytes_under_the_same_names_are_another_trial) {
  const std::string block =
      "trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n"
      "evaluate: [{metric: perplexity, split: test}]\n";
  const auto id = [&] { return plan(block).trials[0].id; };
  const std::string before = id();
  for (const char* file : {"/m/opt/model.safetensors", "/m/opt/tokenizer.json", "/d/a.txt"}) {
    const std::string content = digests_.files[file];
    digests_.files[file] += "x";
    EXPECT_NE(id(), before) << file;
    digests_.files[file] = content;
    EXPECT_EQ(id(), before) << file;
  }
  EXPECT_THAT(
      plan(block).trials[0].identity_text,
      ::testing::ContainsRegex("\"content\":.\"data.train\":.*\"tokenizer\":.*\"weights\":"));
}

TEST_F(Planner, another_revision_of_a_stage_is_another_trial) {
  const std::string block =
      "trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n"
      "  - {model: opt, method: float}\n";
  const Plan before = plan(block);
  for (StageDeclaration& each : catalogue_.stages) each.revision += each.name == "sample";
  const Plan after = plan(block);
  EXPECT_NE(after.trials[0].id, before.trials[0].id) << "it is calibrated on other samples";
  EXPECT_EQ(after.trials[1].id, before.trials[1].id);
}

TEST_F(Planner, what_is_measured_is_no_part_of_a_trial) {
  const std::string block = "trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n";
  const std::string one = "evaluate: [{metric: perplexity, split: test}]\n";
  const std::string two = "evaluate: [{metric: perplexity, split: test}, {metric: latency}]\n";
  const std::string id = plan(block + one).trials[0].id;
  EXPECT_EQ(plan(block + two).trials[0].id, id);
  for (StageDeclaration& each : catalogue_.stages) {
    each.revision += each.name.starts_with("evaluate") || each.name.starts_with("merge");
  }
  EXPECT_EQ(plan(block + one).trials[0].id, id) << "its fingerprint tells that";
}

TEST_F(Planner, a_seed_stands_only_in_recipes_of_random_stages) {
  const Plan made = plan(kVision);
  for (const Stage& each : made.stages) {
    EXPECT_EQ(each.recipe_json().contains("seed"), each.name == "psaq_vit.synthesize")
        << each.label;
  }
  EXPECT_TRUE(made.trials[0].deterministic);
  EXPECT_FALSE(made.trials[1].deterministic);
}

TEST_F(Planner, a_calibration_seed_enters_as_the_seed_of_its_stage) {
  const Plan made = plan(
      "trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: [1, 2], calibration_seed: 7}\n");
  EXPECT_EQ(made.trials.size(), 1U);
  EXPECT_EQ(stage(made, "sample").recipe_json().at("seed"), 7);
}

TEST_F(Planner, a_trial_whose_calibration_input_does_not_exist_is_deterministic) {
  const Plan made = plan(
      "trials:\n"
      "  - {model: opt, method: ranged, bits: [W4A16, W4A8], seed: [1, 2], calibration: 64}\n"
      "  - {model: opt, method: ranged, bits: W4A8, act: dynamic, seed: [1, 2]}\n");
  EXPECT_EQ(labels(made),
            "0 ranged.quantize opt W4A16\n"
            "1 tokenize opt text train\n"
            "2 sample opt calibration_seed=1 <tokens:1\n"
            "3 ranged.observe opt <samples:2\n"
            "4 ranged.quantize opt W4A8 <ranges:3\n"
            "5 sample opt calibration_seed=2 <tokens:1\n"
            "6 ranged.observe opt <samples:5\n"
            "7 ranged.quantize opt W4A8 <ranges:6\n"
            "8 ranged.quantize opt W4A8\n"
            "opt ranged W4A16: 0 -> net 0\n"
            "opt ranged W4A8 calibration_seed=1 calibration=64: 1 2 3 4 -> net 4\n"
            "opt ranged W4A8 calibration_seed=2 calibration=64: 1 5 6 7 -> net 7\n"
            "opt ranged W4A8 act=dynamic: 8 -> net 8\n");
  EXPECT_TRUE(made.trials[0].deterministic);
  EXPECT_EQ(made.trials[0].points, 2U);
  EXPECT_FALSE(made.trials[1].deterministic);
  EXPECT_TRUE(made.trials[3].deterministic);
  EXPECT_EQ(made.trials[1].chosen_text, R"({"calibration":64})");
}

TEST_F(Planner, numerics_stand_in_all_recipes_but_the_exact_ones) {
  const auto keys = [&](const std::string& rest) {
    std::map<std::string, std::string> by_name;
    for (const Stage& each : plan(rest).stages) by_name[each.name] = each.key;
    return by_name;
  };
  const std::string block = "trials:\n  - {model: opt, method: gptq, bits: W4A16}\n";
  const auto cpu = keys(block);
  const auto gpu = keys("run: {device: cuda}\n" + block);
  EXPECT_EQ(cpu.at("tokenize"), gpu.at("tokenize"));
  EXPECT_EQ(cpu.at("sample"), gpu.at("sample"));
  EXPECT_NE(cpu.at("gptq.quantize"), gpu.at("gptq.quantize"));
  const auto wide = keys("run: {cpu_level: avx512}\n" + block);
  EXPECT_EQ(cpu.at("sample"), wide.at("sample"));
  EXPECT_NE(cpu.at("gptq.quantize"), wide.at("gptq.quantize"));
  EXPECT_EQ(cpu, keys("run: {cpu_level: avx2}\n" + block));
  EXPECT_NE(cpu.at("gptq.quantize"),
            keys("run: {precision: bfloat16}\n" + block).at("gptq.quantize"));
  const auto slots = keys("run: {slots: 7, retries: 9, stall_timeout: 1m}\n" + block);
  EXPECT_EQ(cpu, slots);
}

TEST_F(Planner, what_cannot_compute_in_the_precision_is_refused_by_name) {
  catalogue_.methods[0].precisions = {"float32", "float64"};  // float
  const spec::Sweep half = assay::testing::sweep_of(
      std::string(kModels) +
      "run: {precision: float16}\ntrials:\n  - {model: vit, method: float}\n");
  EXPECT_THAT(refusal([&] { make_plan(half, catalogue_, digests_); }),
              HasSubstr("method 'float': run.precision float16; legal for model 'vit': float32, "
                        "float64"));
  catalogue_.methods[0].precisions = {};
  catalogue_.families[0].precisions = {"float64"};  // vit
  EXPECT_THAT(refusal([&] { make_plan(half, catalogue_, digests_); }),
              HasSubstr("networks of family 'vit': run.precision float16"));
}

TEST_F(Planner, a_foreign_provider_stands_in_its_recipes) {
  Catalogue foreign;
  foreign.provider = "paper";
  foreign.version = "1.2";
  foreign.stages = {{.name = "paper.quantize", .reads_model = true}};
  foreign.methods = {{.name = "paper", .network = "paper.quantize"}};
  const std::vector<Catalogue> both{catalogue_, foreign};
  const assay::TemporaryFolder folder;
  const spec::Sweep loaded = spec::load_sweep(
      folder.write("a.yaml", std::string(kModels) +
                                 "evaluate: []\n"
                                 "trials: [{model: vit, method: [paper, rtn], bits: W4A8}]\n"),
      {}, joined(both));
  const Plan made = make_plan(loaded, both, digests_);
  EXPECT_EQ(stage(made, "paper.quantize").provider, "paper");
  EXPECT_EQ(stage(made, "paper.quantize").recipe_json().at("provider"),
            Json::parse(R"({"name": "paper", "version": "1.2"})"));
  EXPECT_FALSE(stage(made, "rtn.quantize").recipe_json().contains("provider"));
  EXPECT_THAT(refusal([&] {
                joined({catalogue_, catalogue_});
              }),
              HasSubstr("offers stage 'tokenize', which another provider offers too"));
}

TEST_F(Planner, trials_of_two_versions_of_a_provider_are_two_trials) {
  Catalogue foreign;
  foreign.provider = "paper";
  foreign.stages = {{.name = "paper.quantize", .reads_model = true}};
  foreign.methods = {{.name = "paper", .network = "paper.quantize"}};
  const assay::TemporaryFolder folder;
  const auto path =
      folder.write("a.yaml", std::string(kModels) +
                                 "evaluate: []\n"
                                 "trials: [{model: vit, method: paper, bits: W4A8}]\n");
  std::set<std::string> ids;
  for (const char* version : {"1.2", "1.3"}) {
    foreign.version = version;
    const std::vector<Catalogue> both{catalogue_, foreign};
    const Plan made = make_plan(spec::load_sweep(path, {}, joined(both)), both, digests_);
    ids.insert(made.trials[0].id);
    const Json content = made.trials[0].identity().at("content");
    for (const auto& [name, digest] : content.items())
      EXPECT_EQ(digest.get<std::string>().size(), 16u) << name;
  }
  EXPECT_EQ(ids.size(), 2u);
}

// The default was 2048 for every network, and shorter ones failed when they were calibrated.
TEST_F(Planner, a_context_left_open_is_the_networks_own_and_stands_in_the_key_as_a_number) {
  for (StageDeclaration& stage : catalogue_.stages) {
    if (stage.name == "sample") stage.reads.emplace_back("context");
  }
  const auto sampled = [&](int context) {
    spec::Sweep loaded = sweep("trials: [{model: opt, method: gptq, bits: W4A16}]\n");
    loaded.steps[0].parameters["context"] = context;
    return stage(make_plan(loaded, catalogue_, digests_), "sample");
  };
  const auto context = [](const Stage& stage) {
    return stage.recipe_json().at("parameters").at("context");
  };
  digests_.files["/m/opt/config.json"] = R"({"model_type": "opt", "positions": 128})";
  EXPECT_THAT(refusal([&] { sampled(0); }),
              HasSubstr("nothing says how many tokens the network of model 'opt' takes"));
  catalogue_.families.back().context = "positions";
  const Stage own = sampled(0);
  EXPECT_EQ(context(own), 128);
  EXPECT_EQ(sampled(128).key, own.key);
  EXPECT_EQ(context(sampled(64)), 64);
  EXPECT_THAT(refusal([&] { sampled(129); }),
              HasSubstr("context: 129, but the network of model 'opt' takes at most 128 tokens"));
  digests_.files["/m/opt/config.json"] = R"({"model_type": "opt", "positions": 4096})";
  EXPECT_EQ(context(sampled(0)), 2048);
  digests_.files["/m/opt/config.json"] = R"({"model_type": "opt", "positions": "long"})";
  EXPECT_THAT(refusal([&] { sampled(0); }), HasSubstr("positions is \"long\", not an integer"));
  digests_.files["/m/opt/config.json"] = R"({"model_type": "opt"})";
  catalogue_.families.back().configuration = {{.name = "positions", .default_value = 512}};
  EXPECT_EQ(context(sampled(0)), 512);
}

TEST_F(Planner, each_seed_of_a_context_that_cannot_be_known_is_refused) {
  for (StageDeclaration& stage : catalogue_.stages) {
    if (stage.name == "sample") stage.reads.emplace_back("context");
  }
  spec::Sweep loaded = sweep(
      "trials: [{model: opt, method: gptq, bits: W4A16, calibration_seed: [0, 1, 2]}]\n"
      "evaluate: [{metric: perplexity}]\n");
  for (spec::MethodStep& step : loaded.steps) step.parameters["context"] = 0;
  catalogue_.families.back().context = "positions";
  digests_.files["/m/opt/config.json"] = "{";
  std::vector<std::string> refused;
  const PlanOptions options{
      .on_refusal = [&](const Error& error) { refused.emplace_back(error.what()); }};
  EXPECT_TRUE(make_plan(loaded, catalogue_, digests_, options).trials.empty());
  EXPECT_EQ(refused.size(), 3U);
}

}  // namespace
}  // namespace assay::plan
