#pragma once

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "harness/base/digest.h"
#include "harness/record/records.h"
#include "results/store/sink.h"
#include "tests/support/temporary_folder.h"

namespace assay::results {

// A plan of a small sweep: each trial is one shared stage, one quantize stage and one evaluation.
class SamplePlan {
 public:
  SamplePlan() {
    plan_.sweep = "sample";
    shared_ = add_stage("synthesize", {{"model", "vit"}}, {});
  }

  // Adds a trial; `seed` < 0: deterministic. `data`: digest of the evaluation's data.
  SamplePlan& trial(const std::string& method, const std::string& bits, int seed = -1,
                    const std::string& data = "d1") {
    return trial({.model = "vit", .method = method, .bits = bits, .seed = seed, .data = data});
  }

  struct Sample {
    std::string model;
    std::string method;
    std::string bits;
    int seed = -1;
    std::string data = "d1";
    Json parameters = Json::object();  // of the method
    Json chosen = Json::object();      // those off their defaults
    Json content = Json::object();     // digests of what is read
  };
  SamplePlan& trial(const Sample& sample) {
    const auto& [model, method, bits, seed, data, parameters, chosen, content] = sample;
    Json identity = {{"model", model},
                     {"method", Json::array({{{"name", method}, {"parameters", parameters}}})},
                     {"bits", bits}};
    if (seed >= 0) identity["seed"] = seed;
    if (!content.empty()) identity["content"] = content;
    const std::size_t quantize = add_stage(method + ".quantize", identity, {{"images", shared_}});
    const std::size_t evaluate = add_stage(
        "evaluate", {{"data", {{"files", data}}}, {"revision", 3}}, {{"network", quantize}});
    plan::PlannedTrial t;
    t.id = sha256(canonical_json(identity)).substr(0, 16);
    t.identity_text = canonical_json(identity);
    t.chosen_text = canonical_json(chosen);
    t.label = model + " " + method + " " + bits + (seed < 0 ? "" : " seed=" + std::to_string(seed));
    t.model = model;
    t.family = "vit";
    t.task = "classification";
    t.method = method;
    t.bits = bits;
    t.deterministic = seed < 0;
    t.stages = {shared_, quantize, evaluate};
    t.network_stage = static_cast<int>(quantize);
    t.metrics.push_back(
        {.metric = "top1",
         .data = "fashion",
         .split = "test",
         .values = std::vector<MetricValue>{{.name = "top1",
                                             .unit = "%",
                                             .primary = true,
                                             .samples = {"correct", SampleStatistic::kShare}},
                                            {.name = "top5", .unit = "%"}},
         .protocol = Json{{"limit", nullptr}},
         .stage = evaluate});
    plan_.trials.push_back(std::move(t));
    return *this;
  }

  // Adds a latency to every trial so far.
  SamplePlan& with_latency() {
    for (plan::PlannedTrial& trial : plan_.trials) {
      const std::size_t stage = add_stage("latency", {{"trial", trial.id}}, {}, CachePolicy::kRun);
      trial.stages.push_back(stage);
      trial.metrics.push_back(
          {.metric = "latency",
           .data = "",
           .split = "",
           .values =
               std::vector<MetricValue>{
                   {.name = "latency", .unit = "ms", .higher_is_better = false, .primary = true}},
           .protocol = Json{{"batch", 1}},
           .stage = stage});
    }
    return *this;
  }

  // The same plan as another order of the sweep file would give it.
  SamplePlan& reverse_trials() {
    std::reverse(plan_.trials.begin(), plan_.trials.end());
    return *this;
  }

  const plan::Plan& plan() const { return plan_; }
  plan::Plan& plan() { return plan_; }

 private:
  std::size_t add_stage(const std::string& name, Json recipe,
                        const std::vector<std::pair<std::string, std::size_t>>& inputs,
                        CachePolicy cache = CachePolicy::kShared) {
    plan::Stage stage;
    stage.name = name;
    stage.label = name;
    recipe["stage"] = name;
    for (const auto& [input, index] : inputs) {
      stage.inputs.push_back({input, plan_.stages[index].key});
      recipe["inputs"][input] = plan_.stages[index].key;
    }
    stage.recipe = recipe;
    stage.key = sha256(stage.recipe_text());
    stage.provider = "assay";
    stage.cache = cache;
    plan_.stages.push_back(stage);
    return plan_.stages.size() - 1;
  }

  plan::Plan plan_;
  std::size_t shared_ = 0;
};

// What a stage that makes a network says of its quantization: null where it makes none.
inline Json quantization_of_stage(const plan::Stage& stage) {
  if (!stage.name.str().ends_with(".quantize") || stage.name == "float.quantize") return nullptr;
  return {{"weights", {{"layers", 18}, {"digest", "w"}, {"float_layers", Json::array()}}},
          {"activations", {{"sites", 47}, {"digest", "a"}, {"rounding", {"round(x/s) + z"}}}}};
}

// One execution of a stage that went well.
inline record::RecordGroup done(const plan::Stage& stage, Json metrics, double seconds = 2,
                                double start = 1000) {
  record::RecordGroup group;
  group.attempts.push_back({.key = stage.key,
                            .number = 1,
                            .outcome = "done",
                            .slot = "host/0.0",
                            .host = "host",
                            .started_unix_s = start,
                            .ended_unix_s = start + seconds,
                            .log_path = "logs/" + stage.key + ".1.log",
                            .environment = {{"cpu", "test"}}});
  Json result = {{"metrics", std::move(metrics)},
                 {"fingerprint", {{"samples", 100}}},
                 {"files", {{"samples.safetensors", 640}}}};
  if (const Json said = quantization_of_stage(stage); !said.is_null()) result["quantization"] = said;
  group.stages.push_back({.key = stage.key,
                          .state = record::StageState::kDone,
                          .result = std::move(result),
                          .size_bytes = 640,
                          .wall_s = seconds});
  return group;
}

// A figure that depends on the stage only, so that every order gives the same.
inline Json metrics_of(const plan::Stage& stage) {
  if (stage.name == "latency") return {{"latency", 1.5}};
  if (stage.name != "evaluate") return Json::object();
  const double value =
      50 + static_cast<double>(std::stoul(stage.key.substr(0, 4), nullptr, 16)) / 2000;
  return {{"top1", value}, {"top5", value + 10}};
}

// Runs the whole plan into a database.
inline void run_all(DatabaseSink& sink, const plan::Plan& plan, bool backwards = false,
                    const std::function<Json(const plan::Stage&)>& metrics = metrics_of) {
  sink.begin(plan, {.unix_s = 999, .assay_version = "0.1.0", .host = "host", .sweep_text = "x"});
  std::vector<plan::Stage> stages = plan.stages;
  if (backwards) std::reverse(stages.begin(), stages.end());
  double start = 1000;
  for (const plan::Stage& stage : stages) {
    sink.commit(done(stage, metrics(stage), 2, start += backwards ? 7 : 3));
  }
  sink.end(2000, 0);
}

}  // namespace assay::results
