#include "harness/spec/run_settings.h"

#include <gtest/gtest.h>

#include "harness/spec/yaml.h"
#include "tests/support/refusal.h"

namespace assay::spec {
namespace {

using assay::testing::refusal;

RunSettings read(const std::string& text) {
  Node node = parse_yaml(text, "run.yaml");
  return run_settings_from(node);
}

std::string settings_error(const std::string& text) {
  return refusal([&] { read(text); });
}

TEST(RunSettings, an_empty_map_gives_the_documented_defaults) {
  EXPECT_EQ(read("{}"), RunSettings());
  EXPECT_EQ(read("{slots: auto, device: cpu, threads: 1, stage_timeout: none, stall_timeout: 10m, "
                 "time_limit: none, retries: 2, max_failures: none, precision: float32, cpu_level: auto}"),
            RunSettings());
}

TEST(RunSettings, values_are_read_with_their_units) {
  const RunSettings run = read(
      "{slots: 4, device: 'cuda:H100', threads: 2, stage_timeout: 1h30m, stall_timeout: none, "
      "time_limit: 2d, retries: 0, max_failures: 7}");
  EXPECT_EQ(run.slots, 4);
  EXPECT_EQ(run.device, "cuda:H100");
  EXPECT_EQ(run.threads, 2);
  EXPECT_EQ(run.stage_timeout_s, 5400);
  EXPECT_EQ(run.stall_timeout_s, std::nullopt);
  EXPECT_EQ(run.time_limit_s, 172800);
  EXPECT_EQ(run.retries, 0);
  EXPECT_EQ(run.max_failures, (FailureLimit{.fraction = {}, .count = 7}));
  EXPECT_EQ(read("{max_failures: 20%}").max_failures,
            (FailureLimit{.fraction = 0.2, .count = {}}));
}

TEST(RunSettings, the_numerics_class_has_its_legal_values) {
  for (const char* precision : {"float32", "float64", "bfloat16", "float16"}) {
    EXPECT_EQ(read(std::string("{precision: ") + precision + "}").precision, precision);
  }
  for (const char* level : {"auto", "default", "avx2", "avx512"}) {
    EXPECT_EQ(read(std::string("{cpu_level: ") + level + "}").cpu_level, level);
  }
  EXPECT_EQ(settings_error("{precision: bf16}"),
            "config: run.yaml:1:13: precision 'bf16' is not supported; legal: float32, float64, "
            "bfloat16, float16");
  EXPECT_EQ(settings_error("{cpu_level: avx}"),
            "config: run.yaml:1:13: cpu_level 'avx' is not supported; legal: auto, default, avx2, "
            "avx512");
}

TEST(RunSettings, a_time_without_a_unit_is_refused) {
  EXPECT_EQ(settings_error("{stage_timeout: 90}"),
            "config: run.yaml:1:17: stage_timeout must be a time with its unit like 90s, 10m, "
            "1h30m or 2d, or none, not '90'; seconds are written '90s'");
  EXPECT_EQ(settings_error("{stall_timeout: 5 minutes}"),
            "config: run.yaml:1:17: stall_timeout must be a time with its unit like 90s, 10m, "
            "1h30m or 2d, or none, not '5 minutes'");
}

TEST(RunSettings, no_time_at_all_is_no_limit) {
  EXPECT_EQ(settings_error("{stage_timeout: 0s}"),
            "config: run.yaml:1:17: stage_timeout must be longer than 0s; for no limit write none");
}

TEST(RunSettings, impossible_trials_are_refused_unless_they_are_to_be_skipped) {
  EXPECT_FALSE(read("{impossible: refuse}").skip_impossible);
  EXPECT_TRUE(read("{impossible: skip}").skip_impossible);
  EXPECT_ANY_THROW(read("{impossible: ignore}"));
}

TEST(Durations, read_units_in_falling_order) {
  EXPECT_EQ(seconds_from("90s"), 90);
  EXPECT_EQ(seconds_from("45s"), 45);
  EXPECT_EQ(seconds_from("0.5h"), 1800);
  EXPECT_EQ(seconds_from("1d2h3m4s"), 93784);
  EXPECT_EQ(seconds_from("0s"), 0);
}

TEST(Durations, other_texts_are_none) {
  for (const char* text : {"", "0", "45", "7.5", "-5m", "10x", "10m5h", "1h30", "m", "5mm", "inf", "nan", "1e9d",
                           "99999d", "10 m"}) {
    EXPECT_EQ(seconds_from(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace assay::spec
