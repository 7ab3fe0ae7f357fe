#include "tests/harness/schedule/simulation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

namespace assay::schedule {
namespace {

using testing::Each;
using testing::Eq;
using testing::IsEmpty;

// Trials of synthesize -> quantize -> evaluate x 4 -> merge (+ one timing in ten), where ten trials
// share their images.
plan::Plan sweep(std::size_t trials) {
  plan::Plan plan;
  const auto add = [&plan](const std::string& name, const std::string& id,
                           const std::vector<std::size_t>& inputs) {
    plan::Stage stage;
    stage.key = name + id;
    stage.name = name;
    stage.label = name + " " + id;
    stage.residency = "model" + std::to_string(plan.stages.size() % 7);
    for (const std::size_t input : inputs) {
      stage.inputs.push_back({std::to_string(input), plan.stages[input].key});
    }
    plan.stages.push_back(stage);
    return plan.stages.size() - 1;
  };
  std::size_t images = 0;
  for (std::size_t t = 0; t < trials; ++t) {
    const std::string id = std::to_string(t);
    if (t % 10 == 0) {
      images = add("synthesize", id, {});
      plan.stages[images].retention = Retention::kTemporary;
    }
    plan::PlannedTrial trial;
    const std::size_t network = add("quantize", id, {images});
    trial.stages = {images, network};
    std::vector<std::size_t> shards;
    for (int s = 0; s < 4; ++s) {
      shards.push_back(add("evaluate", id + "/" + std::to_string(s), {network}));
    }
    trial.stages.insert(trial.stages.end(), shards.begin(), shards.end());
    trial.stages.push_back(add("merge", id, shards));
    if (t % 10 == 5) {
      trial.stages.push_back(add("latency", id, {network}));
      plan.stages.back().exclusive = true;
    }
    plan.trials.push_back(trial);
  }
  return plan;
}

double duration(const plan::Stage& stage) {
  if (stage.name == "synthesize") return 120;
  if (stage.name == "quantize") return 45;
  if (stage.name == "latency") return 8;
  return stage.name == "merge" ? 0.2 : 6;
}

std::vector<SlotOffer> cluster(int nodes, int slots_per_node) {
  std::vector<SlotOffer> slots;
  for (int n = 0; n < nodes; ++n) {
    for (int s = 0; s < slots_per_node; ++s) {
      slots.push_back({n * slots_per_node + s, "node" + std::to_string(n), {}});
    }
  }
  return slots;
}

SimulationResult run(const plan::Plan& plan, const std::vector<SlotOffer>& slots,
                     const Faults& faults = {}, Options options = {}) {
  return simulate(plan, options, std::vector<Known>(plan.stages.size()), slots, duration, faults);
}

Faults weather(std::uint64_t seed) {
  Faults faults;
  faults.seed = seed;
  faults.crash = 0.05;
  faults.lost = 0.1;
  faults.slow = 0.05;
  faults.slot_life_s = 400;
  faults.network_s = 0.05;
  return faults;
}

TEST(simulation, without_faults_every_stage_runs_once) {
  const plan::Plan plan = sweep(50);
  const auto result = run(plan, cluster(2, 4));
  EXPECT_EQ(result.outcome, Outcome::kAllDone);
  EXPECT_THAT(result.published, Each(Eq(1)));
  EXPECT_THAT(result.started, Each(Eq(1)));
  EXPECT_THAT(result.violations, IsEmpty());
}

TEST(simulation, keeps_slots_busy) {
  const plan::Plan plan = sweep(200);
  const auto result = run(plan, cluster(4, 4));
  EXPECT_GT(result.busy_s / (16 * result.makespan_s), 0.85);
}

class storms : public testing::TestWithParam<std::uint64_t> {};

TEST_P(storms, every_stage_is_published_exactly_once) {
  const plan::Plan plan = sweep(60);
  Options options;
  options.retries = 50;  // so that no stage is unlucky for good
  options.lost_limit = 500;
  const auto result = run(plan, cluster(3, 3), weather(GetParam()), options);
  EXPECT_EQ(result.outcome, Outcome::kAllDone) << result.message;
  EXPECT_THAT(result.published, Each(Eq(1)));
  EXPECT_THAT(result.violations, IsEmpty());
  EXPECT_GT(
      std::count_if(result.started.begin(), result.started.end(), [](int n) { return n > 1; }), 0);
}

INSTANTIATE_TEST_SUITE_P(seeds, storms, testing::Range<std::uint64_t>(0, 25));

TEST(simulation, one_seed_gives_one_history) {
  const plan::Plan plan = sweep(40);
  const auto a = run(plan, cluster(2, 3), weather(3));
  const auto b = run(plan, cluster(2, 3), weather(3));
  const auto c = run(plan, cluster(2, 3), weather(4));
  EXPECT_EQ(a.digest, b.digest);
  EXPECT_NE(a.digest, c.digest);
}

TEST(simulation, stages_that_fail_by_themselves_end_the_sweep_with_failures) {
  const plan::Plan plan = sweep(60);
  Faults faults = weather(1);
  faults.method = 0.02;
  const auto result = run(plan, cluster(3, 3), faults);
  EXPECT_EQ(result.outcome, Outcome::kSomeFailed);
  EXPECT_THAT(result.violations, IsEmpty());
}

TEST(simulation, a_hundred_thousand_stages_on_256_slots_each_end_once) {
  const plan::Plan plan = sweep(16'400);
  ASSERT_GT(plan.stages.size(), 100'000u);
  const auto before = std::chrono::steady_clock::now();
  const auto result = run(plan, cluster(32, 8));
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - before;
  EXPECT_EQ(result.outcome, Outcome::kAllDone);
  EXPECT_THAT(result.published, Each(Eq(1)));
  EXPECT_THAT(result.violations, IsEmpty());
  RecordProperty("wall_s", std::to_string(wall.count()));
}

}  // namespace
}  // namespace assay::schedule
