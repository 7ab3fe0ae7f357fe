#pragma once

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

#include "harness/plan/planner.h"
#include "tests/support/fake_digests.h"
#include "tests/support/refusal.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::plan {

// A sweep of the test catalogue, planned over files that exist in memory only.
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
    spec::Sweep loaded = assay::testing::sweep_of(assay::testing::kModels + rest, {}, catalogue_);
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
    return assay::testing::refusal([&] { plan(rest); });
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

inline constexpr const char* kVision =
    "trials:\n"
    "  - {model: vit, method: [float, psaq_vit], bits: [W8A8, W4A8], seed: [0, 1]}\n"
    "evaluate: [{metric: top1}, {metric: latency}]\n";

inline constexpr const char* kLanguage =
    "trials:\n"
    "  - {model: opt, method: [float, gptq, smoothquant + gptq], bits: [W4A16, W4A8]}\n"
    "evaluate: [{metric: perplexity, context: 64}]\n";

}  // namespace assay::plan
