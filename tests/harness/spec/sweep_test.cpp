#include "harness/spec/sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/harness/spec/sweep_fixture.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

// Everything of a sweep but its trials: its file, evaluations, data and the text as run.

namespace assay::spec {
namespace {

using assay::testing::kModels;
using assay::testing::lines_of;
using assay::testing::sweep_of;

TEST(Providers, of_a_sweep_of_another_format_are_not_asked) {
  const assay::TemporaryFolder folder;
  const auto file = folder.write("sweep.yaml", "assay: 2\nproviders: [{command: [true]}]\n");
  EXPECT_THAT(assay::testing::refusal_in(folder, [&] { SweepFile(file, {}).providers(); }),
              ::testing::HasSubstr("sweep.yaml:1:8: format version '2'"));
}

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

  const Sweep again =
      load_sweep(folder.write("run/sweep.yaml", resolved_text(sweep)), {}, catalogue);
  EXPECT_EQ(again.name, "a");
  EXPECT_EQ(lines_of(again), lines_of(sweep));
  EXPECT_EQ(again.models.back().weights, sweep.models.back().weights);
  EXPECT_EQ(again.data[1].splits.at("test")[0].path, sweep.data[1].splits.at("test")[0].path);
  EXPECT_EQ(again.providers[0].command, sweep.providers[0].command);
  EXPECT_EQ(again.run, sweep.run);
  EXPECT_EQ(again.evaluations[0].parameters, sweep.evaluations[0].parameters);
  EXPECT_EQ(resolved_text(again), resolved_text(sweep));
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
  EXPECT_EQ(resolved_text(sweep).find("anchors"), std::string::npos);
  EXPECT_EQ(resolved_text(sweep).find("<<"), std::string::npos);
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
