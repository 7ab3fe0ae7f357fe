#include "methods/train/settings.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "methods/train/train.h"
#include "tests/support/refusal.h"

namespace assay::train {
namespace {

using assay::testing::refusal;

Settings settings_from(const Json& given) {
  return options_from<Settings>(checked_parameters(schemas_of<Settings>(), given, "train"));
}

TEST(Settings, defaults_come_from_one_list) {
  const Settings settings = settings_from(Json::object());
  EXPECT_EQ(settings.batch, Settings().batch);
  EXPECT_EQ(settings.optimiser.beta2, optimise::AdamWOptions().beta2);
}

TEST(Settings, a_value_out_of_range_names_the_parameter) {
  Json parameters = checked_parameters(schemas_of<Settings>(), Json::object(), "train");
  parameters["smoothing"] = 1.5;
  EXPECT_THAT(
      refusal([&] { options_from<Settings>(parameters); }),
      ::testing::AllOf(::testing::StartsWith("config: "), ::testing::HasSubstr("smoothing")));
}

TEST(Settings, steps_win_over_epochs) {
  EXPECT_EQ(settings_from({{"batch", 10}, {"epochs", 2.5}}).total_steps(105), 25);
  EXPECT_EQ(settings_from({{"batch", 10}, {"steps", 7}}).total_steps(105), 7);
}

TEST(Settings, a_batch_larger_than_the_data_and_no_step_at_all_are_errors) {
  EXPECT_THROW(settings_from({{"batch", 10}}).total_steps(9), Error);
  EXPECT_THROW(settings_from({{"batch", 10}, {"epochs", 0.0}}).total_steps(100), Error);
}

TEST(Declaration, the_stage_reads_every_parameter_of_the_method) {
  const MethodDeclaration method = train_method().declaration;
  const StageDeclaration stage = train_method().stages.at(0).declaration;
  EXPECT_EQ(method.network, stage.name);
  EXPECT_EQ(method.parameters.size(), stage.reads.size());
  EXPECT_EQ(stage.random, "seed");
}

// Less than an epoch of many samples is some steps; the samples need not be known.
TEST(Settings, no_epochs_at_all_make_no_step_whatever_the_samples) {
  EXPECT_THROW(settings_from({{"epochs", 0}}).require_steps(), Error);
  EXPECT_NO_THROW(settings_from({{"epochs", 0.01}}).require_steps());
  EXPECT_NO_THROW(settings_from({{"epochs", 0}, {"steps", 3}}).require_steps());
}

}  // namespace
}  // namespace assay::train
