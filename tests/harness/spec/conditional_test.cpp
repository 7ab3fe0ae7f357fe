#include "harness/spec/conditional.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::spec {
namespace {

using ::testing::HasSubstr;

// The test catalogue with a method whose group size counts for one granularity only.
Catalogue grouped_catalogue() {
  Catalogue catalogue = assay::testing::test_catalogue();
  catalogue.stages.push_back(
      {.name = "grouped.quantize", .reads = {"granularity", "group", "early", "w_bits", "a_bits"}});
  catalogue.methods.push_back(
      {.name = "grouped",
       .parameters = {{.name = "granularity",
                       .type = ParameterType::kString,
                       .default_value = "channel",
                       .choices = {"channel", "group"},
                       .when = "quantizes_weights"},
                      {.name = "group",
                       .type = ParameterType::kInteger,
                       .default_value = 128,
                       .when = "granularity=group"},
                      {.name = "early",
                       .type = ParameterType::kBool,
                       .default_value = false,
                       .when = "group!=128"}},
       .reads_bits = true,
       .network = "grouped.quantize"});
  return catalogue_from(to_json(catalogue));
}

std::string grouped_trials(const std::string& text) {
  return assay::testing::lines_of(
      assay::testing::sweep_of(assay::testing::kModels + text, {}, grouped_catalogue()));
}

std::string refusal_of(const std::string& text) {
  return assay::testing::refusal_of(assay::testing::kModels + text, {}, grouped_catalogue());
}

TEST(ConditionalParameters, points_that_differ_in_what_they_do_not_read_are_one_trial) {
  EXPECT_EQ(grouped_trials("trials:\n  - {model: opt, method: grouped, bits: W4A16, granularity: "
                           "[channel, group], group: [32, 64]}\n"),
            "opt grouped granularity=\"channel\" W4A16\n"
            "opt grouped early=false granularity=\"group\" group=32 W4A16\n"
            "opt grouped early=false granularity=\"group\" group=64 W4A16\n");
}

TEST(ConditionalParameters, what_is_not_read_itself_decides_about_nothing) {
  const Catalogue catalogue = grouped_catalogue();
  const ConditionalParameters own = conditional_parameters(
      *catalogue.find_method("grouped"), {{"granularity", "group"}, {"group", 32}, {"early", true}}, {.bits = {.weights = 16}});
  EXPECT_EQ(own.values, Json::parse(R"({"granularity": "channel", "group": 128, "early": false})"));
  EXPECT_EQ(own.unread, (std::set<std::string>{"early", "granularity", "group"}));
}

TEST(ConditionalParameters, a_value_that_no_trial_of_the_block_reads_is_a_mistake_with_its_mend) {
  EXPECT_EQ(refusal_of("trials:\n  - {model: opt, method: grouped, bits: W4A16, group: [32, 64]}\n"),
            "sweep.yaml:8:48: parameter 'group' of method 'grouped' is not read: it is read only "
            "with granularity: group, and no trial of trials[0] has that; write that too, or "
            "remove 'group'");
  EXPECT_THAT(refusal_of("trials:\n  - model: opt\n    method: {grouped: {granularity: group}}\n"
                         "    bits: [W16A8, W16A4]\n"),
              HasSubstr("sweep.yaml:9:24: parameter 'granularity' of method 'grouped' is not read: "
                        "it is read only with weights below 16 bits"));
  EXPECT_THAT(refusal_of("trials:\n  - {model: opt, method: ranged, bits: W4A16, calibration: 64}\n"),
              HasSubstr("parameter 'calibration' of method 'ranged' is not read: no trial of "
                        "trials[0] has a stage that reads it"));
  EXPECT_THAT(refusal_of("ablate:\n  base: {model: opt, method: grouped, bits: W4A16}\n"
                         "  vary: {group: [32, 64]}\n"),
              HasSubstr("sweep.yaml:9:10: parameter 'group' of method 'grouped' is not read"));
}

TEST(ConditionalParameters, one_reader_of_an_axis_is_enough) {
  EXPECT_EQ(grouped_trials(
                "trials:\n  - {model: opt, method: [grouped, gptq], bits: W4A16, group: 64}\n"),
            "opt grouped granularity=\"channel\" W4A16\n"
            "opt gptq calibration=128 damping=0.01 group=64 W4A16 cseed=0 on text\n");
}

}  // namespace
}  // namespace assay::spec
