#include "harness/spec/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::spec {
namespace {

using assay::testing::kModels;
using assay::testing::lines_of;
using assay::testing::sweep_of;

Sweep sweep_with(const std::string& rest, const std::vector<std::string>& overrides = {}) {
  return sweep_of(kModels + rest, overrides);
}

std::string trials_of(const std::string& block) {
  return lines_of(sweep_with("trials:\n" + block));
}

std::set<std::string> ids_of(const std::string& rest) {
  std::set<std::string> ids;
  const Sweep sweep = sweep_with(rest);
  for (const Trial& trial : sweep.trials) ids.insert(identity_text(sweep, trial));
  return ids;
}

// --- expansion

TEST(Providers, of_a_sweep_of_another_format_are_not_asked) {
  const assay::TemporaryFolder folder;
  const auto file = folder.write("sweep.yaml", "assay: 2\nproviders: [{command: [true]}]\n");
  EXPECT_THAT(assay::testing::refusal([&] { SweepFile(file, {}).providers(); }, &folder),
              ::testing::HasSubstr("sweep.yaml:1:8: format version '2'"));
}

TEST(Trials, are_the_product_of_a_block_with_the_first_axis_outermost) {
  EXPECT_EQ(trials_of("  - {model: [vit, vit2], method: rtn, bits: [W8A8, W4A8]}\n"),
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A8\n"
            "vit2 rtn range=\"minmax\" W8A8\n"
            "vit2 rtn range=\"minmax\" W4A8\n");
}

TEST(Trials, what_a_method_does_not_read_is_no_part_of_them) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [float, rtn, psaq_vit]\n"
                      "    bits: [W8A8, W4A8]\n"
                      "    seed: [0, 1]\n"),
            "vit float\n"
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A8\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=1\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=1\n");
}

TEST(Trials, a_rule_that_leaves_out_nothing_has_a_note) {
  const Sweep sweep = sweep_with(
      "trials:\n"
      "  - {model: vit, method: [float, rtn], bits: W4A8, exclude: [{where: \"bits == 'w4a8'\"}, "
      "{where: \"method == 'float'\"}]}\n");
  EXPECT_EQ(sweep.trials.size(), 1u);
  ASSERT_EQ(sweep.notes.size(), 1u);
  EXPECT_THAT(sweep.notes[0],
              ::testing::EndsWith("exclude: \"bits == 'w4a8'\" leaves out nothing"));
}

TEST(Trials, parameters_of_a_method_are_axes_of_its_trials_only) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [rtn, psaq_vit]\n"
                      "    bits: W4A8\n"
                      "    psaq_vit: {images: [8, 16], steps: [1, 2]}\n"),
            "vit rtn range=\"minmax\" W4A8\n"
            "vit psaq_vit images=8 steps=1 W4A8 seed=0\n"
            "vit psaq_vit images=8 steps=2 W4A8 seed=0\n"
            "vit psaq_vit images=16 steps=1 W4A8 seed=0\n"
            "vit psaq_vit images=16 steps=2 W4A8 seed=0\n");
}

TEST(Trials, the_mapping_form_gives_each_method_its_parameters) {
  EXPECT_EQ(trials_of("  - model: opt\n"
                      "    method: {gptq: {group: [-1, 128]}, rtn: {range: mse}, \"smoothquant + "
                      "gptq\": {alpha: 0.8, gptq: {group: 64}}, float: }\n"
                      "    bits: W3A16\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W3A16 cseed=0 on text\n"
            "opt gptq calibration=128 damping=0.01 group=128 W3A16 cseed=0 on text\n"
            "opt rtn range=\"mse\" W3A16\n"
            "opt smoothquant alpha=0.8 calibration=128 + gptq calibration=128 damping=0.01 "
            "group=64 W3A16 cseed=0 on text\n"
            "opt float\n");
}

TEST(Trials, a_parameter_of_a_composition_reaches_every_step_that_has_it) {
  EXPECT_EQ(
      trials_of("  - {model: opt, method: \"smoothquant+gptq\", bits: W8A8, calibration: 64}\n"),
      "opt smoothquant alpha=0.5 calibration=64 + gptq calibration=64 damping=0.01 group=-1 "
      "W8A8 cseed=0 on text\n");
  EXPECT_EQ(trials_of("  - {model: opt, method: smoothquant + gptq, bits: W8A8, "
                      "gptq.calibration: 64}\n"),
            "opt smoothquant alpha=0.5 calibration=128 + gptq calibration=64 damping=0.01 group=-1 "
            "W8A8 cseed=0 on text\n");
}

TEST(Trials, a_list_parameter_takes_its_list_whole) {
  EXPECT_EQ(trials_of("  - {model: vit, method: train, schedule: [0.1, 0.01]}\n"),
            "vit train epochs=1 schedule=[0.1,0.01] seed=0 on fashion\n");
  EXPECT_EQ(trials_of("  - {model: vit, method: {train: {schedule: [[0.1], [1, 2]]}}}\n"),
            "vit train epochs=1 schedule=[0.1] seed=0 on fashion\n"
            "vit train epochs=1 schedule=[1.0,2.0] seed=0 on fashion\n");
}

TEST(Trials, zip_walks_its_lists_together) {
  EXPECT_EQ(trials_of("  - zip: {model: [opt, opt2], calibration: [128, 64]}\n"
                      "    method: gptq\n"
                      "    bits: [W4A16, W3A16]\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=0 on text\n"
            "opt gptq calibration=128 damping=0.01 group=-1 W3A16 cseed=0 on text\n"
            "opt2 gptq calibration=64 damping=0.01 group=-1 W4A16 cseed=0 on text\n"
            "opt2 gptq calibration=64 damping=0.01 group=-1 W3A16 cseed=0 on text\n");
}

TEST(Trials, two_zips_are_multiplied) {
  EXPECT_EQ(trials_of("  - zip: [{model: [opt, opt2], group: [64, 32]}, {bits: [W4A16, W3A16], "
                      "calibration_seed: [5, 6]}]\n"
                      "    method: gptq\n"),
            "opt gptq calibration=128 damping=0.01 group=64 W4A16 cseed=5 on text\n"
            "opt gptq calibration=128 damping=0.01 group=64 W3A16 cseed=6 on text\n"
            "opt2 gptq calibration=128 damping=0.01 group=32 W4A16 cseed=5 on text\n"
            "opt2 gptq calibration=128 damping=0.01 group=32 W3A16 cseed=6 on text\n");
}

TEST(Trials, exclude_sees_the_axes_before_points_collapse) {
  EXPECT_EQ(trials_of("  - model: vit\n"
                      "    method: [float, psaq_vit]\n"
                      "    bits: [W8A8, W4A8]\n"
                      "    seed: [0, 1]\n"
                      "    exclude: {where: \"method == 'psaq_vit' and bits == 'W8A8' and seed != "
                      "0\"}\n"),
            "vit float\n"
            "vit psaq_vit images=32 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=0\n"
            "vit psaq_vit images=32 steps=500 W4A8 seed=1\n");
}

TEST(Trials, exclude_knows_parameters_bits_and_families) {
  const std::string block =
      "  - model: [vit, opt]\n"
      "    method: [rtn, psaq_vit]\n"
      "    bits: [W8A8, W4A4]\n"
      "    psaq_vit: {images: [8, 16]}\n"
      "    exclude:\n"
      "      - {where: \"method == 'psaq_vit' and family != 'vit'\"}\n"
      "      - {where: [\"images > 8 and w_bits < 8\", \"task == 'language' and a_bits == 8\"]}\n";
  EXPECT_EQ(trials_of(block),
            "vit rtn range=\"minmax\" W8A8\n"
            "vit rtn range=\"minmax\" W4A4\n"
            "vit psaq_vit images=8 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=16 steps=500 W8A8 seed=0\n"
            "vit psaq_vit images=8 steps=500 W4A4 seed=0\n"
            "opt rtn range=\"minmax\" W4A4\n");
}

TEST(Trials, a_method_of_another_family_may_be_skipped) {
  const Sweep sweep = sweep_with(
      "run: {impossible: skip}\n"
      "trials:\n"
      "  - {model: [vit, opt], method: [rtn, gptq], bits: [W8A16, W4A16]}\n"
      "  - {model: vit, method: [float, gptq], bits: W4A16}\n");
  EXPECT_EQ(sweep.trials.size(), 2U + 2U + 2U + 1U);
  ASSERT_EQ(sweep.skipped.size(), 1U);  // told once
  EXPECT_EQ(sweep.skipped[0].model, "vit");
  EXPECT_EQ(sweep.skipped[0].method, "gptq");
  EXPECT_EQ(sweep.skipped[0].reason, "method 'gptq' is for opt, model 'vit' is of family vit");
}

TEST(Trials, calibration_data_and_seed_default_to_the_models_data_and_the_seed) {
  EXPECT_EQ(trials_of("  - {model: opt, method: gptq, bits: W4A16, seed: [3, 4]}\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=3 on text\n"
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=4 on text\n");
  EXPECT_EQ(trials_of("  - {model: opt, method: gptq, bits: W4A16, seed: [3, 4], "
                      "calibration_seed: 7}\n"),
            "opt gptq calibration=128 damping=0.01 group=-1 W4A16 cseed=7 on text\n");
}

TEST(Trials, what_serves_an_input_that_does_not_exist_is_no_part_of_them) {
  const spec::Sweep sweep = assay::testing::sweep_of(
      kModels +
      std::string("trials:\n  - {model: opt, method: ranged, bits: [W4A16, W4A8], seed: [0, 1, 2], "
                  "calibration: [128, 64]}\n"));
  EXPECT_EQ(lines_of(sweep),
            "opt ranged act=\"fixed\" W4A16\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=0 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=0 on text\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=1 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=1 on text\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=2 on text\n"
            "opt ranged act=\"fixed\" calibration=64 W4A8 cseed=2 on text\n");
  EXPECT_EQ(sweep.trials[0].points, 6U);
  EXPECT_EQ(sweep.trials[1].points, 1U);
}

TEST(Trials, a_parameter_decides_whether_calibration_is_part_of_them) {
  EXPECT_EQ(trials_of("  - {model: opt, method: ranged, bits: W4A8, seed: [0, 1], act: [fixed, "
                      "dynamic]}\n"),
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=0 on text\n"
            "opt ranged act=\"dynamic\" W4A8\n"
            "opt ranged act=\"fixed\" calibration=128 W4A8 cseed=1 on text\n");
}

TEST(Trials, a_trial_without_calibration_needs_no_data) {
  const std::string models = "assay: 1\nmodels: {opt: {family: opt, weights: /m/opt}}\ntrials:\n";
  EXPECT_EQ(lines_of(assay::testing::sweep_of(
                models + "  - {model: opt, method: ranged, bits: W4A16, seed: [0, 1]}\n")),
            "opt ranged act=\"fixed\" W4A16\n");
  EXPECT_THAT(assay::testing::refusal_of(models +
                                         "  - {model: opt, method: ranged, bits: [W4A16, W4A8]}\n"),
              ::testing::HasSubstr("method 'ranged' needs data"));
}

// --- identity

TEST(Identity, does_not_depend_on_spelling_order_blocks_or_unsaid_defaults) {
  const auto once = ids_of("trials:\n  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1}\n");
  ASSERT_EQ(once.size(), 1U);
  for (const char* other :
       {"trials:\n  - {seed: [1], bits: [w4a8, W4A8], method: [psaq_vit], model: [vit]}\n",
        "trials:\n  - {model: vit, method: {psaq_vit: {images: 32}}, bits: W4A8, seed: 1}\n",
        "trials:\n  - model: vit\n    method: psaq_vit\n    bits: W4A8\n    seed: 0x1\n"
        "    psaq_vit: {steps: 500.0, images: 32}\n",
        "trials:\n  - {model: vit, method: psaq_vit, bits: W04A08, seed: 1, calibration_seed: 9}\n",
        "trials:\n"
        "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1}\n"
        "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1, images: 32}\n"}) {
    EXPECT_EQ(ids_of(other), once) << other;
  }
}

TEST(Identity, depends_on_everything_that_is_read) {
  std::set<std::string> ids;
  for (const char* other : {"{model: vit, method: psaq_vit, bits: W4A8, seed: 1}",
                            "{model: vit2, method: psaq_vit, bits: W4A8, seed: 1}",
                            "{model: vit, method: rtn, bits: W4A8, seed: 1}",
                            "{model: vit, method: psaq_vit, bits: W8A4, seed: 1}",
                            "{model: vit, method: psaq_vit, bits: W4A8, seed: 2}",
                            "{model: vit, method: psaq_vit, bits: W4A8, seed: 1, images: 31}"}) {
    ids.merge(ids_of(std::string("trials:\n  - ") + other + "\n"));
  }
  EXPECT_EQ(ids.size(), 6U);
}

TEST(Identity, its_text_is_the_canonical_json) {
  const Sweep sweep = sweep_with(
      "trials:\n"
      "  - {model: opt, method: [smoothquant + gptq, float], bits: W4A8, calibration_seed: 3}\n"
      "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 9007199254740992}\n");
  ASSERT_EQ(sweep.trials.size(), 3U);
  for (const Trial& trial : sweep.trials) {
    EXPECT_EQ(identity_text(sweep, trial), canonical_json(identity_of(sweep, trial)));
  }
}

TEST(Identity, has_a_seed_only_where_something_random_is_reached) {
  const std::string block = "trials:\n  - {model: opt, method: float, seed: [1, 2]}\n";
  EXPECT_EQ(lines_of(sweep_with(block)), "opt float\n");
  EXPECT_EQ(lines_of(sweep_with(block + "evaluate: [{metric: perplexity}]\n")), "opt float\n");
  // A random metric makes its trials random, and no others.
  EXPECT_EQ(lines_of(sweep_with(block + "  - {model: vit, method: float, seed: [1, 2]}\n"
                                        "evaluate: [{metric: dream}]\n")),
            "opt float seed=1\nopt float seed=2\nvit float\n");
}

// --- evaluations

TEST(Evaluations, lists_of_values_become_several_and_list_parameters_stay_whole) {
  const Sweep sweep = sweep_with(
      "trials:\n  - {model: opt, method: float}\n"
      "evaluate:\n"
      "  - {metric: perplexity, context: [512, 2048], limit: [0, 16]}\n"
      "  - {metric: latency, batch: [1, 64]}\n"
      "  - {metric: perplexity, context: 512, limit: 0}\n");
  ASSERT_EQ(sweep.evaluations.size(), 5U);
  EXPECT_EQ(sweep.evaluations[1].parameters, Json::parse(R"({"context": 512, "limit": 16})"));
  EXPECT_EQ(sweep.evaluations[4].parameters, Json::parse(R"({"batch": [1, 64]})"));
}

TEST(Evaluations, apply_where_task_data_models_and_methods_match) {
  const Sweep sweep = sweep_with(
      "trials:\n  - {model: [vit, opt, opt2], method: [float, rtn], bits: W8A8}\n"
      "evaluate:\n"
      "  - {metric: top1}\n"
      "  - {metric: perplexity, models: [opt]}\n"
      "  - {metric: latency, methods: rtn}\n"
      "  - {metric: perplexity, data: text, split: train}\n");
  std::string table;
  for (const Trial& trial : sweep.trials) {
    table += sweep.models[trial.model].name + " " + method_text(sweep, trial) + ":";
    for (const Evaluation& each : sweep.evaluations) {
      table += mismatch(sweep, trial, each, assay::testing::test_catalogue()).empty() ? " x" : " -";
    }
    table += "\n";
  }
  EXPECT_EQ(table,
            "vit float: x - - -\nvit rtn: x - x -\nopt float: - x - x\nopt rtn: - x x x\n"
            "opt2 float: - - - x\nopt2 rtn: - - x x\n");
}

// --- the text as run

TEST(ResolvedText, loads_to_the_same_sweep_from_anywhere) {
  const TemporaryFolder folder;
  folder.write("common/models.yaml",
               std::string(kModels) + "providers: [{command: [python3, x.py]}]\n");
  folder.write("common/x.py", "");
  const auto file =
      folder.write("sweeps/a.yaml",
                   "include: ../common/models.yaml\n"
                   "models: {rel: {family: opt, weights: ../zoo/o, data: text}}\n"
                   "trials:\n"
                   "  - {model: [rel, opt], method: [gptq, float], bits: W4A8,\n"
                   "     exclude: {where: \"model == 'opt' and group == 64\"}, group: "
                   "[64, 32]}\n"
                   "evaluate: [{metric: perplexity, context: 64}]\n");
  const Catalogue catalogue = assay::testing::test_catalogue();
  const Sweep sweep = load_sweep(file, {"trials.0.bits=[W3A16]", "run.slots=3"}, catalogue);
  EXPECT_EQ(sweep.name, "a");
  EXPECT_EQ(sweep.models.back().weights, folder.path() / "zoo/o");
  EXPECT_EQ(sweep.data[1].splits.at("test")[0].path, folder.path() / "common/b.txt");
  EXPECT_EQ(sweep.providers[0].command,
            (std::vector<std::string>{"python3", (folder.path() / "common/x.py").string()}));
  EXPECT_EQ(SweepFile(file, {}).providers().size(), 1U);

  const Sweep again = load_sweep(folder.write("run/sweep.yaml", sweep.resolved), {}, catalogue);
  EXPECT_EQ(again.name, "a");
  EXPECT_EQ(lines_of(again), lines_of(sweep));
  EXPECT_EQ(again.models.back().weights, sweep.models.back().weights);
  EXPECT_EQ(again.data[1].splits.at("test")[0].path, sweep.data[1].splits.at("test")[0].path);
  EXPECT_EQ(again.providers[0].command, sweep.providers[0].command);
  EXPECT_EQ(again.run, sweep.run);
  EXPECT_EQ(again.evaluations[0].parameters, sweep.evaluations[0].parameters);
  EXPECT_EQ(again.resolved, sweep.resolved);
}

TEST(Data, readers_get_roots_files_roles_and_parameters) {
  const Sweep sweep = sweep_of(
      "assay: 1\n"
      "data:\n"
      "  a: {reader: fashion_mnist, root: /r}\n"
      "  b: {reader: idx, splits: extra, train: {images: /i, labels: /l},\n"
      "      extra: {images: [/x, /y], labels: /z}}\n"
      "  c: {reader: text, test: [/t1, /t2], join: lines}\n"
      "  d: {reader: image_folder, root: /images}\n"
      "  e: {reader: austen, test: sense}\n"
      "models: {m: {family: resnet, config: {classes: 10, depth: 8}}}\n"
      "trials: [{model: m, method: float}]\n");
  EXPECT_EQ(sweep.data[0].root, "/r");
  ASSERT_EQ(sweep.data[1].splits.at("extra").size(), 3U);
  EXPECT_EQ(sweep.data[1].splits.at("extra")[2].role, "labels");
  EXPECT_EQ(sweep.data[2].parameters, Json::parse(R"({"join": "lines"})"));
  EXPECT_EQ(sweep.data[2].splits.at("test")[1].path, "/t2");
  EXPECT_EQ(sweep.data[4].parameters, Json::parse(R"({"train": ["emma"], "test": ["sense"]})"));
  EXPECT_EQ(sweep.models[0].config, Json::parse(R"({"classes": 10, "depth": 8})"));
}

TEST(Data, other_splits_than_the_usual_ones_are_declared) {
  const std::string rest =
      "models: {m: {family: resnet, config: {classes: 10}}}\n"
      "trials: [{model: m, method: float}]\n";
  const Sweep sweep = sweep_of(
      "assay: 1\ndata: {t: {reader: text, splits: [dev], dev: /d, "
      "validation: /v, val: /w, train: /a, test: /b}}\n" +
      rest);
  EXPECT_EQ(sweep.data[0].splits.size(), 5U);
  EXPECT_EQ(assay::testing::refusal_of(
                "assay: 1\ndata: {t: {reader: text, test: x, jion: lines}}\n" + rest),
            "sweep.yaml:2:35: unknown key 'jion' in data 't'; did you mean 'join'? (splits are "
            "train, test, validation, val; others are declared: 'splits: [jion]')");
}

TEST(MergeKeys, let_blocks_models_and_data_share_what_they_have_in_common) {
  const Sweep sweep = sweep_of(
      "assay: 1\n"
      "anchors:\n"
      "  llm: &llm {family: opt, data: text}\n"
      "  block: &block {bits: [W4A8, W3A16], seed: [0, 1]}\n"
      "data: {text: {reader: text, train: /a, test: /b}}\n"
      "models:\n"
      "  a: &a {<<: *llm, weights: /m/a}\n"
      "  b: {<<: *a, weights: /m/b}\n"
      "trials:\n"
      "  - {<<: *block, model: [a, b], method: gptq}\n"
      "  - {<<: [*block], bits: W2A16, model: a, method: rtn}\n");
  EXPECT_EQ(sweep.models[1].family, "opt");
  EXPECT_EQ(sweep.models[1].data, "text");
  EXPECT_EQ(sweep.models[1].weights, "/m/b");
  EXPECT_EQ(sweep.trials.size(), 2U * 2 * 2 + 1) << lines_of(sweep);
  EXPECT_EQ(sweep.resolved.find("anchors"), std::string::npos);
  EXPECT_EQ(sweep.resolved.find("<<"), std::string::npos);
}

TEST(Block, a_method_may_have_a_parameter_of_its_own_name) {
  Catalogue catalogue = assay::testing::test_catalogue();
  catalogue.methods.push_back(
      {.name = "clip",
       .parameters = {{.name = "clip", .type = ParameterType::kReal, .default_value = 1.0}},
       .network = "smoothquant.smooth"});
  catalogue.stages.push_back({.name = "clip.network", .reads = {"clip"}});
  catalogue.methods.back().network = "clip.network";
  const assay::TemporaryFolder folder;
  const auto read = [&](const std::string& block) {
    return lines_of(load_sweep(
        folder.write("a.yaml", std::string(kModels) + "evaluate: []\ntrials: [" + block + "]\n"),
        {}, catalogue));
  };
  EXPECT_EQ(read("{model: vit, method: clip, clip: {clip: 0.5}}"), "vit clip clip=0.5\n");
  EXPECT_EQ(read("{model: vit, method: clip, clip: [0.5, 0.25]}"),
            "vit clip clip=0.5\nvit clip clip=0.25\n");
  EXPECT_EQ(read("{model: vit, method: {clip: {clip: 0.5}}}"), "vit clip clip=0.5\n");
}

TEST(TooManyPoints, are_refused_with_their_number) {
  std::string seeds = "0";
  for (int i = 1; i < 4'000; ++i) seeds += "," + std::to_string(i);
  EXPECT_EQ(assay::testing::refusal_of(std::string(kModels) +
                                       "trials:\n  - model: vit\n    method: psaq_vit\n"
                                       "    bits: W4A4\n    seed: [" +
                                       seeds + "]\n    calibration_seed: [" + seeds + "]\n"),
            "sweep.yaml:8:5: trials[0] has 16000000 combinations; at most 10000000 are allowed");
}

TEST(SweepFile, is_read_once) {
  const assay::TemporaryFolder folder;
  const auto path =
      folder.write("sweep.yaml", assay::testing::kModels +
                                     std::string("trials:\n  - {model: vit, method: float}\n"
                                                 "evaluate: []\n"
                                                 "providers: [{command: [a]}]\n"));
  const SweepFile file(path, {});
  folder.write("sweep.yaml", "assay: 2\n");
  EXPECT_EQ(file.providers().size(), 1U);
  const Sweep sweep = file.sweep(assay::testing::test_catalogue());
  EXPECT_EQ(sweep.trials.size(), 1U);
  EXPECT_EQ(sweep.providers.at(0).command, file.providers().at(0).command);
}

}  // namespace
}  // namespace assay::spec
