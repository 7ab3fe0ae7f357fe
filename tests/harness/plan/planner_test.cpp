#include "harness/plan/planner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/base/digest.h"
#include "tests/support/fake_digests.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::plan {
namespace {

using assay::testing::kModels;
using assay::testing::refusal;
using ::testing::HasSubstr;

class Planner : public ::testing::Test {
 protected:
  Planner() {
    for (const char* model : {"vit", "vit2"}) digests_.add_model(std::string("/m/") + model);
    for (const char* model : {"opt", "opt2"}) digests_.add_model(std::string("/m/") + model, true);
    const std::string root = "/usr/share/datasets/fashion-mnist/";
    for (const char* name :
         {"train-images.gz", "train-labels.gz", "t10k-images.gz", "t10k-labels.gz"}) {
      digests_.files[root + name] = name;
    }
  }

  spec::Sweep sweep(const std::string& rest) {
    spec::Sweep loaded = assay::testing::sweep_of(kModels + rest, {}, catalogue_);
    // The texts lie beside the sweep, in a folder of another name each time.
    for (spec::DataSet& data : loaded.data) {
      for (auto& [split, files] : data.splits) {
        for (spec::DataFile& file : files) file.path = "/d" / file.path.filename();
      }
    }
    digests_.files.emplace("/d/a.txt", "training text");
    digests_.files.emplace("/d/b.txt", "test text");
    return loaded;
  }

  Plan plan(const std::string& rest, const PlanOptions& options = {}) {
    return make_plan(sweep(rest), catalogue_, digests_, options);
  }

  std::string error(const std::string& rest) {
    return refusal([&] { plan(rest); });
  }

  static const Stage& stage(const Plan& plan, const std::string& name) {
    for (const Stage& each : plan.stages) {
      if (each.name == name) return each;
    }
    throw std::runtime_error("no stage " + name);
  }

  static std::string labels(const Plan& plan) {
    std::string text;
    for (std::size_t i = 0; i < plan.stages.size(); ++i) {
      text += std::to_string(i) + " " + plan.stages[i].label;
      for (const StageInput& input : plan.stages[i].inputs) {
        for (std::size_t k = 0; k < i; ++k) {
          if (plan.stages[k].key == input.key) text += " <" + input.name + ":" + std::to_string(k);
        }
      }
      text += "\n";
    }
    for (const PlannedTrial& trial : plan.trials) {
      text += trial.label + ":";
      for (const std::size_t each : trial.stages) text += " " + std::to_string(each);
      text += " ->";
      for (const PlannedMetric& metric : trial.metrics) {
        text += " " + metric.metric + "@" + std::to_string(metric.stage);
      }
      text += " net " + std::to_string(trial.network_stage) + "\n";
    }
    return text;
  }

  Catalogue catalogue_ = assay::testing::test_catalogue();
  assay::testing::FakeDigests digests_;
};

const char* const kVision =
    "trials:\n"
    "  - {model: vit, method: [float, psaq_vit], bits: [W8A8, W4A8], seed: [0, 1]}\n"
    "evaluate: [{metric: top1}, {metric: latency}]\n";

const char* const kLanguage =
    "trials:\n"
    "  - {model: opt, method: [float, gptq, smoothquant + gptq], bits: [W4A16, W4A8]}\n"
    "evaluate: [{metric: perplexity, context: 64}]\n";

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
  EXPECT_EQ(stage(made, "tokenize").recipe_json(),
            Json::parse(R"({
    "stage": "tokenize", "revision": 1, "parameters": {}, "inputs": {},
    "model": {"family": "opt", "files": [{"role": "tokenizer", "name": "tokenizer.json",
      "digest": ")" + sha256("tokenizer of /m/opt") + R"("}]},
    "data": {"reader": "text", "parameters": {"join": "file"}, "split": "train",
      "files": [{"role": "", "name": "a.txt", "digest": ")" +
                        sha256("training text") + R"("}]}})"));
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
  const std::string block = "trials:\n  - {model: opt, method: gptq, bits: W4A16, seed: 3}\n"
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
  EXPECT_THAT(plan(block).trials[0].identity_text,
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
  ASSERT_EQ(with.after.size(), 2U);
  for (const After& each : with.after) {
    EXPECT_EQ(with.stages[each.first].name, "gptq.canary");
    EXPECT_EQ(with.stages[each.stage].name, "gptq.quantize");
    EXPECT_LT(each.first, each.stage);
  }
  for (std::size_t i = 0; i < with.trials.size(); ++i) {
    EXPECT_EQ(with.trials[i].id, without.trials[i].id);
    EXPECT_THAT(with.trials[i].stages, ::testing::Contains(with.after[0].first));
  }
  const Plan kept = filter_trials(with, "method == 'smoothquant + gptq'");
  EXPECT_LT(kept.stages.size(), with.stages.size());
  ASSERT_EQ(kept.after.size(), 1U);
  EXPECT_EQ(kept.stages.at(kept.after[0].first).name, "gptq.canary");
  EXPECT_EQ(kept.stages.at(kept.after[0].stage).name, "gptq.quantize");
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

TEST_F(Planner, every_file_is_digested_once) {
  plan(kLanguage);
  for (const auto& [path, count] : digests_.asked) EXPECT_EQ(count, 1) << path;
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

TEST_F(Planner, a_stage_that_rests_on_itself_is_refused) {
  catalogue_.stages[0].inputs = {{.name = "x", .stage = "gptq.quantize"}};
  EXPECT_THAT(error(kVision), HasSubstr("rests on itself"));
}

// --- files

TEST_F(Planner, sharded_weights_enter_by_the_files_of_their_index) {
  digests_.files.erase("/m/vit/model.safetensors");
  digests_.files["/m/vit/model.safetensors.index.json"] =
      R"({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-1.safetensors"}})";
  digests_.files["/m/vit/model-1.safetensors"] = "1";
  digests_.files["/m/vit/model-2.safetensors"] = "2";
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  EXPECT_EQ(stage(plan(block), "rtn.quantize").recipe_json().at("model").at("files").size(), 4U);
  digests_.files.erase("/m/vit/model-2.safetensors");
  EXPECT_THAT(error(block), HasSubstr("names the shard 'model-2.safetensors', which is not there"));
  digests_.files["/m/vit/model.safetensors.index.json"] = R"({"weight_map": {"a": "../x"}})";
  EXPECT_THAT(error(block), HasSubstr("is not the plain name of a .safetensors file"));
  digests_.files["/m/vit/model.safetensors.index.json"] = "[";
  EXPECT_THAT(error(block), HasSubstr("sweep.yaml"));
}

TEST_F(Planner, weights_beside_the_shards_of_an_index_are_two_networks) {
  digests_.files["/m/vit/model.safetensors.index.json"] = R"({"weight_map": {"a": "s.safetensors"}})";
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  const auto files = [&](const std::string& weights) {
    spec::Sweep loaded = sweep(block);
    loaded.models[0].weights = weights;
    std::string names;
    const Plan made = make_plan(loaded, catalogue_, digests_);
    const Json recipe = stage(made, "rtn.quantize").recipe_json();
    for (const Json& file : recipe.at("model").at("files")) {
      names += file.at("name").get<std::string>() + " ";
    }
    return names;
  };
  // A leftover: none of its shards is there.
  EXPECT_EQ(files("/m/vit"), "config.json model.safetensors ");
  digests_.files["/m/vit/s.safetensors"] = "s";
  EXPECT_THAT(error(block), HasSubstr("holds two networks: model.safetensors, and "
                                      "model.safetensors.index.json with s.safetensors"));
  EXPECT_EQ(files("/m/vit/model.safetensors"), "config.json model.safetensors ");
  EXPECT_EQ(files("/m/vit/model.safetensors.index.json"),
            "config.json model.safetensors.index.json s.safetensors ");
}

TEST_F(Planner, every_file_of_a_tokenizer_enters) {
  digests_.files.erase("/m/opt/tokenizer.json");
  std::set<std::string> keys;
  for (const std::string& name : tokenizer_files()) {
    digests_.files["/m/opt/" + name] = "{}";
    EXPECT_TRUE(keys.insert(stage(plan(kLanguage), "tokenize").key).second) << name;
    digests_.files["/m/opt/" + name] = "other";
    EXPECT_TRUE(keys.insert(stage(plan(kLanguage), "tokenize").key).second) << name;
  }
}

TEST_F(Planner, a_configuration_named_like_its_weights_comes_before_config_json) {
  spec::Sweep loaded = sweep("trials: [{model: vit, method: rtn, bits: W4A8}]\n");
  digests_.files["/m/vit/tiny.safetensors"] = "tiny";
  digests_.files["/m/vit/tiny.json"] = "{}";
  loaded.models[0].weights = "/m/vit/tiny.safetensors";
  const Plan made = make_plan(loaded, catalogue_, digests_);
  const Json files = stage(made, "rtn.quantize").recipe_json().at("model").at("files");
  EXPECT_EQ(files.at(0).at("name"), "tiny.json");
  digests_.files["/m/vit/config.json"] = "other";
  EXPECT_EQ(make_plan(loaded, catalogue_, digests_).stages[0].key, made.stages[0].key);
}

TEST_F(Planner, a_single_file_takes_the_config_beside_it) {
  spec::Sweep loaded = sweep("trials: [{model: vit, method: rtn, bits: W4A8}]\n");
  loaded.models[0].weights = "/m/vit/model.safetensors";
  const Plan made = make_plan(loaded, catalogue_, digests_);
  EXPECT_EQ(stage(made, "rtn.quantize").recipe_json().at("model").at("files").size(), 2U);
  EXPECT_EQ(stage(made, "rtn.quantize").locations->at("model").at("path"),
            "/m/vit/model.safetensors");
}

TEST_F(Planner, missing_files_are_errors_that_say_where_was_looked) {
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  digests_.files["/m/vit/pytorch_model.bin"] = "x";
  digests_.files.erase("/m/vit/model.safetensors");
  EXPECT_THAT(error(block),
              HasSubstr("/m/vit/pytorch_model.bin: checkpoints are read from .safetensors files"));
  digests_.files["/m/vit/a.safetensors"] = digests_.files["/m/vit/b.safetensors"] = "x";
  EXPECT_THAT(error(block), HasSubstr("holds 2 .safetensors files"));
  digests_.files.erase("/m/vit/config.json");
  EXPECT_THAT(error(block), HasSubstr("/m/vit: has no config.json"));
  digests_.files.clear();
  EXPECT_THAT(error(block),
              HasSubstr("sweep.yaml:4:4: weights of model 'vit': no file or folder '/m/vit'"));
  EXPECT_THAT(error("trials: [{model: resnet, method: train}]\n"),
              HasSubstr("data 'fashion' was not found (Fashion-MNIST as in Debian's "
                        "dataset-fashion-mnist); looked in /usr/share/datasets/fashion-mnist; "
                        "install it or name its folder: 'root: /path'"));
}

TEST_F(Planner, a_tokenizer_is_asked_for_only_where_it_is_read) {
  digests_.files.erase("/m/opt/tokenizer.json");
  EXPECT_EQ(error("trials: [{model: opt, method: float}]\n"), "no error");
  EXPECT_THAT(error(kLanguage), HasSubstr("/m/opt: no tokenizer; looked for tokenizer.json"));
  // With 256 ids they are byte values, and config.json decides.
  digests_.files["/m/opt/config.json"] = R"({"vocab_size": 256})";
  const Plan made = plan(kLanguage);
  EXPECT_EQ(stage(made, "tokenize").recipe_json().at("model").at("files"),
            Json::array({{{"role", "tokenizer"},
                          {"name", "config.json"},
                          {"digest", sha256(R"({"vocab_size": 256})")}}}));
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

TEST_F(Planner, usual_places_expand_the_environment_and_the_first_that_exists_wins) {
  digests_.variables["FASHION"] = "/own";
  for (const char* name : {"train-images.gz", "train-labels.gz"}) {
    digests_.files[std::string("/own/data/") + name] = name;
  }
  const Plan made = plan("trials: [{model: resnet, method: train}]\n");
  EXPECT_EQ(stage(made, "train.fit").locations->at("data").at("files")[0].at("path"),
            "/own/data/train-images.gz");
}

TEST_F(Planner, a_parameter_named_like_a_split_enters_that_split_only) {
  digests_.files["/usr/lib/austen/novels.rdb"] = "novels";
  const auto tokenized = [&](const std::string& novels) {
    const spec::Sweep loaded = assay::testing::sweep_of(
        "assay: 1\ndata: {a: {reader: austen, " + novels + "}}\n" +
        "models: {o: {family: opt, weights: /m/opt, data: a}}\n"
        "trials: [{model: o, method: gptq, bits: W4A16}]\nevaluate: [{metric: perplexity}]\n");
    std::map<std::string, std::string> keys;
    for (const Stage& each : make_plan(loaded, catalogue_, digests_).stages) {
      if (each.name == "tokenize") keys[each.recipe_json().at("data").at("split")] = each.key;
    }
    return keys;
  };
  const auto before = tokenized("test: sense");
  const auto after = tokenized("test: emma");
  EXPECT_EQ(before.at("train"), after.at("train"));
  EXPECT_NE(before.at("test"), after.at("test"));
}

TEST_F(Planner, image_folders_enter_by_their_manifest_and_val_is_the_test_split) {
  digests_.files["/images/val/cat/1.png"] = "1";
  const auto key_of = [&] {
    const spec::Sweep loaded = assay::testing::sweep_of(
        "assay: 1\ndata: {i: {reader: image_folder, root: /images}}\n"
        "models: {v: {family: vit, weights: /m/vit, data: i}}\n"
        "trials: [{model: v, method: float}]\nevaluate: [{metric: top1}]\n");
    const Plan made = make_plan(loaded, catalogue_, digests_);
    EXPECT_EQ(made.stages[0].locations->at("data").at("files")[0].at("path"), "/images/val");
    return made.stages[0].key;
  };
  const std::string before = key_of();
  digests_.files["/images/val/cat/2.png"] = "2";
  const std::string after = key_of();
  EXPECT_NE(after, before);
  digests_.folders.insert("/images/val/dog");  // a class without images moves the others' numbers
  EXPECT_NE(key_of(), after);
}

TEST_F(Planner, an_unknown_split_is_refused_with_the_legal_ones) {
  EXPECT_THAT(
      error("trials: [{model: vit, method: float}]\nevaluate: [{metric: top1, split: tset}]\n"),
      HasSubstr("data 'fashion' has no split 'tset'; did you mean 'test'?"));
  EXPECT_THAT(
      error(
          "trials: [{model: opt, method: float}]\nevaluate: [{metric: perplexity, split: dev}]\n"),
      HasSubstr("name its files: 'dev: ...'"));
}

TEST_F(Planner, a_checkpoint_of_another_family_is_refused_with_the_one_that_fits) {
  const std::string block = "trials: [{model: vit, method: rtn, bits: W4A8}]\n";
  digests_.files["/m/vit/config.json"] = R"({"model_type": "opt"})";
  EXPECT_THAT(error(block),
              HasSubstr("model 'vit' is of family 'vit' here, but '/m/vit/config.json' says "
                        "model_type 'opt', which is of family 'opt'; write 'family: opt'"));
  digests_.files["/m/vit/config.json"] = R"({"architecture": "opt"})";
  EXPECT_THAT(error(block), HasSubstr("says architecture 'opt'"));
  // Nobody's name, a field that is no text, and no JSON are not for the planner to judge.
  for (const char* fine :
       {R"({"model_type": "vit", "architecture": "opt"})",
        R"({"architecture": "vit_tiny_patch16_224"})", R"({"model_type": 3})", "[]", "{", ""}) {
    digests_.files["/m/vit/config.json"] = fine;
    EXPECT_NO_THROW(plan(block)) << fine;
  }
}

// --- filter

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
}

}  // namespace
}  // namespace assay::plan
