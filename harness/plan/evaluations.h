#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/formats/image_preprocessing.h"
#include "harness/plan/method_steps.h"
#include "harness/plan/stage_builder.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// An entry of `evaluate:` with what follows from it alone.
struct PreparedEvaluation {
  const spec::Evaluation* evaluation = nullptr;
  const MetricDeclaration* metric = nullptr;
  Json parameters;
  ParameterSet set;
  Shared<std::vector<MetricValue>> values;
  std::string preprocess = kPreprocessAuto;
  int shards = 1;
  int split = 0;  // as StageBuilder::split_id
};

// The entries of `evaluate:`, and what each of them means for a trial.
class Evaluations {
 public:
  // `limit` caps every metric's `limit` (assay run --limit). All references outlive this object.
  // Throws Error(kConfig) with the entry's place for a number of shards that its metric cannot
  // take.
  Evaluations(const spec::Sweep& sweep, const Catalogue& catalogue, const MethodSteps& steps,
              StageBuilder& builder, const std::optional<std::int64_t>& limit);

  std::size_t size() const { return prepared_.size(); }
  const PreparedEvaluation& operator[](std::size_t i) const { return prepared_[i]; }

  // By evaluation: why it does not apply to trials of this model and composition; "" if it does.
  const std::vector<std::string>& mismatches(const spec::Trial& trial);

  // What the images of a method are prepared by: what its trial is measured by. Metrics of the same
  // data set count; if there is none, the preprocessing that metrics of others name, unless the
  // data set states its own. Metrics that disagree would calibrate on one kind of images and
  // measure on another: Error(kConfig).
  std::string calibration_preprocessing(const spec::Trial& trial);

  // The settings that make two values comparable. The number of shards is none of them: it does not
  // move a result.
  const Shared<Json>& protocol(const PreparedEvaluation& prepared, const Request& request);

 private:
  PreparedEvaluation prepare(const spec::Evaluation& evaluation,
                             const std::optional<std::int64_t>& limit) const;

  const spec::Sweep& sweep_;
  const Catalogue& catalogue_;
  const MethodSteps& steps_;
  StageBuilder& builder_;
  std::vector<PreparedEvaluation> prepared_;
  std::map<std::pair<std::uint32_t, std::vector<const MethodDeclaration*>>,
           std::vector<std::string>>
      mismatches_;
  std::map<std::pair<std::size_t, int>, Shared<Json>> protocols_;  // by evaluation and view
};

}  // namespace assay::plan
