#include "harness/spec/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sweep_text.h"

namespace assay::spec {
namespace {

using ::testing::HasSubstr;

class Document : public ::testing::Test {
 protected:
  Json load(const std::vector<std::string>& overrides = {}) {
    return to_json(load_document(folder_.path() / "main.yaml", overrides));
  }
  std::string error(const std::vector<std::string>& overrides = {}) {
    return assay::testing::refusal_in(folder_, [&] { load(overrides); });
  }

  TemporaryFolder folder_;
};

TEST_F(Document, includes_are_merged_first_and_later_keys_win) {
  folder_.write("common/models.yaml",
                "models: {a: {family: vit}, b: {family: opt}}\nname: common\n");
  folder_.write("more.yaml", "models: {b: {family: llama, weights: w}}\nrun: {slots: 1}\n");
  folder_.write(
      "main.yaml",
      "include: [common/models.yaml, more.yaml]\nname: main\nmodels: {b: {weights: x}}\n");
  EXPECT_EQ(load(), Json::parse(R"({"name": "main", "run": {"slots": 1},
      "models": {"a": {"family": "vit"}, "b": {"family": "llama", "weights": "x"}}})"));
}

TEST_F(Document, lists_are_replaced_whole) {
  folder_.write("base.yaml", "trials: [1, 2, 3]\n");
  folder_.write("main.yaml", "include: base.yaml\ntrials: [4]\n");
  EXPECT_EQ(load(), Json::parse(R"({"trials": [4]})"));
}

TEST_F(Document, a_file_may_be_included_twice_but_not_in_a_circle) {
  folder_.write("x.yaml", "name: x\n");
  folder_.write("y.yaml", "include: x.yaml\n");
  folder_.write("main.yaml", "include: [x.yaml, y.yaml]\n");
  EXPECT_EQ(load(), Json::parse(R"({"name": "x"})"));
  folder_.write("x.yaml", "include: sub/../y.yaml\n");
  EXPECT_THAT(error(), HasSubstr("y.yaml:1:10: 'x.yaml' includes itself in a circle"));
}

TEST_F(Document, includes_have_a_bounded_depth) {
  for (int i = 0; i < 30; ++i) {
    folder_.write("f" + std::to_string(i) + ".yaml",
                  "include: f" + std::to_string(i + 1) + ".yaml\n");
  }
  folder_.write("main.yaml", "include: f0.yaml\n");
  EXPECT_THAT(error(), HasSubstr("includes nested deeper than 16 levels"));
}

TEST_F(Document, a_missing_or_unreadable_file_is_named) {
  EXPECT_THAT(error(), HasSubstr("cannot read the sweep file 'main.yaml': no such file"));
  folder_.write("main.yaml", "include: [sub]\n");
  folder_.write("sub/x.yaml", "");
  EXPECT_THAT(error(), HasSubstr("main.yaml:1:11: cannot read the sweep file 'sub': not a file"));
}

TEST_F(Document, an_error_in_an_included_file_names_that_file) {
  folder_.write("sub/a.yaml", "name: [\n");
  folder_.write("main.yaml", "include: sub/a.yaml\n");
  EXPECT_THAT(error(), HasSubstr("sub/a.yaml:2:1: not valid YAML"));
}

TEST_F(Document, overrides_set_values_in_maps_and_lists) {
  folder_.write("main.yaml", "run: {slots: 1}\ntrials: [{seed: 0}, {seed: [1, 2]}]\n");
  EXPECT_EQ(load({"run.slots=4", "trials.1.seed.0=7", "trials.0.bits=[W4A8, W8A8]", "name=x",
                  "evaluate=[{metric: top1}]", "run.threads=", "new.deep.key=1"}),
            Json::parse(R"({"run": {"slots": 4, "threads": null}, "name": "x",
      "trials": [{"seed": 0, "bits": ["W4A8", "W8A8"]}, {"seed": [7, 2]}],
      "evaluate": [{"metric": "top1"}], "new": {"deep": {"key": 1}}})"));
}

TEST_F(Document, the_last_override_of_a_key_wins_and_values_may_hold_equals_signs) {
  folder_.write("main.yaml", "a: 1\n");
  EXPECT_EQ(load({"a=2", "a=\"x == 'y'\""}), Json::parse(R"({"a": "x == 'y'"})"));
}

TEST_F(Document, overrides_that_lead_nowhere_are_refused) {
  folder_.write("main.yaml", "run: {slots: 1}\ntrials: [{seed: 0}]\n");
  EXPECT_EQ(error({"run.slots"}), "--set run.slots: expected key=value, for example run.slots=4");
  EXPECT_THAT(error({"=4"}), HasSubstr("expected key=value"));
  EXPECT_THAT(error({"run..slots=4"}), HasSubstr("an empty name between dots"));
  EXPECT_THAT(error({"trials.3.seed=4"}),
              HasSubstr("'trials' is a list of 1; name an element by its index from 0, not '3'"));
  EXPECT_THAT(error({"trials.x=4"}), HasSubstr("not 'x'"));
  EXPECT_THAT(error({"trials.-1=4"}), HasSubstr("not '-1'"));
  EXPECT_THAT(error({"run.slots.x=4"}), HasSubstr("'run.slots' is '1', which has no 'x'"));
  EXPECT_THAT(error({"run.slots=[1"}), HasSubstr("--set run.slots:1:1: "));
  EXPECT_THAT(error({"run.slots=[1"}), HasSubstr("a bracket is never closed"));
  EXPECT_THAT(error({"include=x.yaml"}), HasSubstr("put them in the file"));
}

TEST_F(Document, paths_start_at_the_file_that_names_them) {
  folder_.write("common/models.yaml", "weights: ../zoo/vit/\n");
  folder_.write("main.yaml", "include: common/models.yaml\nroot: data\n");
  Node root = load_document(folder_.path() / "main.yaml", {"other=x/y"});
  EXPECT_EQ(resolve_path(*root.find("weights"), "weights"), folder_.path() / "zoo/vit");
  EXPECT_EQ(resolve_path(*root.find("root"), "root"), folder_.path() / "data");
  EXPECT_EQ(resolve_path(*root.find("other"), "other"), std::filesystem::current_path() / "x/y");
  EXPECT_EQ(root.find("root")->text, (folder_.path() / "data").string());
}

}  // namespace
}  // namespace assay::spec
