#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/base/shared.h"
#include "harness/plan/stage.h"

namespace assay::plan {

// A metric of a trial: which stage's result holds its values.
struct PlannedMetric {
  std::string metric;  // declaration name: "top1"
  std::string data;    // name of the data entry
  std::string split;
  Shared<std::vector<MetricValue>> values;  // what to read from the result's "metrics"
  Shared<Json> protocol;  // resolved settings (the fingerprint is completed by the stage's result)
  std::size_t stage = 0;  // index into Plan::stages
};

// That a trial is one row of an ablation table.
struct PlannedAblation {
  std::string ablation;  // name of the ablation: "ablate" unless it has one
  std::string variant;   // "base", "without swing", "only swing", "images = 8"

  bool operator==(const PlannedAblation&) const = default;
};

// A trial as the plan, the database and the boards know it.
struct PlannedTrial {
  std::string id;             // first 16 digits of the SHA-256 of canonical_json(identity)
  std::string identity_text;  // canonical_json of model, method expression with resolved
                              // parameters, bits, seeds, and in "content" the digests of what the
                              // names stand for
  std::string label;          // "vit_fashion psaq_vit W4A8 seed=1 images=64"
  std::string model;
  std::string family;
  std::string task;
  std::string method;          // "smoothquant + gptq"
  std::string bits;            // "W4A8", or ""
  bool deterministic = false;  // no seed in its identity
  std::size_t of_sweep = 0;    // index into Sweep::trials
  std::uint32_t points = 1;    // of the sweep that are this trial
  std::string chosen_text =
      "{}";  // canonical_json of what is off its default: parameters as on boards
             // ("psaq_vit.steps" in compositions), foreign calibration_data
  std::vector<std::size_t> stages;  // every stage it rests on, indices into Plan::stages, ascending
  std::vector<PlannedMetric> metrics;
  int network_stage = -1;  // stage whose artifact is its network; -1: the model as it is
  std::vector<PlannedAblation> ablations;

  Json identity() const { return Json::parse(identity_text); }
};

// A pair of trial and evaluate entry that was left out, and why.
struct LeftOut {
  std::string trial;
  std::string metric;
  std::string reason;
};

// A trial that was left out because something in it cannot be done (`impossible: skip`), and why.
struct Impossible {
  std::string trial;
  std::string label;
  std::string reason;
};

struct Plan {
  std::string sweep;                 // name
  std::vector<Stage> stages;         // inputs and canaries before consumers
  std::vector<PlannedTrial> trials;  // in order of first appearance in the sweep
  std::vector<LeftOut> left_out;
  std::vector<Impossible> impossible;
  // Manifests of folders that stages read (harness/formats/manifest.h), by the name that locations
  // give them. A run puts them into the store.
  std::map<std::string, std::string> manifests;
};

}  // namespace assay::plan
