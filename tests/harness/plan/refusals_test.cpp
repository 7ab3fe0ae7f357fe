#include "harness/plan/refusals.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "harness/plan/planner.h"
#include "tests/support/fake_digests.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::plan {
namespace {

using assay::testing::kModels;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Refusals : public ::testing::Test {
 protected:
  Refusals() {
    for (const char* model : {"vit", "vit2"}) digests_.add_model(std::string("/m/") + model);
    const std::string root = "/usr/share/datasets/fashion-mnist/";
    for (const char* name :
         {"train-images.gz", "train-labels.gz", "t10k-images.gz", "t10k-labels.gz"}) {
      digests_.files[root + name] = name;
    }
  }

  // Line 7 on.
  void read(const std::string& rest) {
    sweep_ = assay::testing::sweep_of(kModels + rest);
    plan_ = make_plan(sweep_, assay::testing::test_catalogue(), digests_);
    asked_ = questions_of(plan_);
    answers_.assign(asked_.questions.size(), {});
  }

  // Refuses the stages of this name; of all, or of those with these weight bits.
  void refuse(const std::string& stage, const std::string& about, const std::string& message,
              int weight_bits = 0) {
    for (std::size_t i = 0; i < asked_.questions.size(); ++i) {
      const Question& question = asked_.questions[i];
      const Json parameters = question.recipe.value("parameters", Json::object());
      if (question.stage != stage) continue;
      if (weight_bits > 0 && parameters.value("w_bits", 0) != weight_bits) continue;
      answers_[i].refusals.push_back({.about = about, .message = message});
    }
  }

  std::vector<std::string> mistakes() {
    std::vector<std::string> texts = judge(sweep_, plan_, asked_, answers_, false).mistakes;
    for (std::string& text : texts) text.erase(0, text.find("sweep.yaml"));
    return texts;
  }

  assay::testing::FakeDigests digests_;
  spec::Sweep sweep_;
  Plan plan_;
  PlanQuestions asked_;
  std::vector<Answer> answers_;
};

const char* const kTrials =
    "trials:\n"
    "  - model: [vit, vit2]\n"
    "    method: [float, psaq_vit]\n"
    "    bits: [W8A8, W4A8]\n"
    "    seed: [0, 1]\n"
    "evaluate: [{metric: top1}]\n";

TEST_F(Refusals, stages_that_differ_in_seeds_and_shards_are_one_question) {
  read(kTrials);
  const auto count = [&](const std::string& stage) {
    return std::count_if(asked_.questions.begin(), asked_.questions.end(),
                         [&](const Question& question) { return question.stage == stage; });
  };
  EXPECT_EQ(count("psaq_vit.synthesize"), 2);  // two models
  EXPECT_EQ(count("psaq_vit.quantize"), 4);    // and two bit widths
  EXPECT_EQ(count("top1.evaluate"), 6);        // and float
  for (const Question& question : asked_.questions) {
    EXPECT_FALSE(question.recipe.contains("seed"));
    EXPECT_FALSE(question.recipe.contains("shard"));
  }
  EXPECT_EQ(asked_.questions.size(), asked_.digests.size());
  EXPECT_EQ(plan_.stages.size(), asked_.of_stage.size());
}

TEST_F(Refusals, digests_follow_files_and_parameters) {
  read(kTrials);
  const std::vector<std::string> before = asked_.digests;
  digests_.files["/m/vit/model.safetensors"] = "others";
  read(kTrials);
  EXPECT_NE(before, asked_.digests);
}

TEST_F(Refusals, each_mistake_is_told_once_where_the_sweep_says_it) {
  read(kTrials);
  refuse("top1.evaluate", "model", "no head");
  refuse("top1.evaluate", "data", "no such size");
  refuse("psaq_vit.quantize", "method", "4 bits are too few", 4);
  refuse("psaq_vit.synthesize", "run", "no GPU");
  EXPECT_THAT(mistakes(), ElementsAre(HasSubstr("sweep.yaml:1:1: no GPU"),
                                      AllOf(HasSubstr("data 'fashion': no such size")),
                                      AllOf(HasSubstr("model 'vit': no head")),
                                      AllOf(HasSubstr("model 'vit2': no head")),
                                      AllOf(HasSubstr("sweep.yaml:9:21: 4 bits are too few"),
                                            HasSubstr("psaq_vit W4A8 seed=0 and 3 more trials)"))));
}

TEST_F(Refusals, impossible_trials_may_be_skipped) {
  read(kTrials);
  refuse("psaq_vit.quantize", "method", "4 bits are too few", 4);
  const Judgement judgement = judge(sweep_, plan_, asked_, answers_, true);
  EXPECT_TRUE(judgement.mistakes.empty());
  ASSERT_EQ(judgement.impossible.size(), 4u);
  EXPECT_EQ(judgement.impossible[0].reason, "4 bits are too few");
  const Plan kept = without_trials(plan_, judgement.dropped);
  EXPECT_EQ(kept.trials.size(), plan_.trials.size() - 4);
  for (const PlannedTrial& trial : kept.trials) {
    EXPECT_THAT(trial.label, Not(HasSubstr("W4A8")));
    for (const std::size_t stage : trial.stages) ASSERT_LT(stage, kept.stages.size());
  }
}

TEST_F(Refusals, what_is_skipped_hides_no_other_mistake) {
  read(kTrials);
  refuse("psaq_vit.quantize", "method", "4 bits are too few", 4);
  refuse("psaq_vit.quantize", "model", "no head");
  EXPECT_EQ(judge(sweep_, plan_, asked_, answers_, true).mistakes.size(), 2u);
}

TEST_F(Refusals, a_plan_collects_what_cannot_be_planned) {
  digests_.files.erase("/m/vit/model.safetensors");
  sweep_ = assay::testing::sweep_of(kModels + std::string(kTrials));
  std::vector<std::string> refused;
  PlanOptions options;
  options.on_refusal = [&](const Error& error) { refused.emplace_back(error.what()); };
  plan_ = make_plan(sweep_, assay::testing::test_catalogue(), digests_, options);
  EXPECT_EQ(plan_.trials.size(), 5u);  // those of vit2
  ASSERT_EQ(refused.size(), 5u);
  EXPECT_THAT(refused[0], HasSubstr("nor another .safetensors file"));
}

}  // namespace
}  // namespace assay::plan
