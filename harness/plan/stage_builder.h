#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/core/catalogue.h"
#include "harness/plan/input_files.h"
#include "harness/plan/plan.h"
#include "harness/plan/stage_graph.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// Parameters that a stage may read: those of a step or of an evaluation.
struct ParameterSet {
  std::size_t id = 0;  // equal ids, equal parameters
  const Json* values = nullptr;
  std::string owner;  // "method 'gptq'", for errors
};

// For whom a stage is asked.
struct Request {
  const ParameterSet* parameters = nullptr;
  std::size_t model = 0;
  int data = -1;
  int split = 0;  // as StageBuilder::split_id
  int weight_bits = 0;
  int activation_bits = 0;
  std::int64_t seed = 0;
  std::int64_t calibration_seed = 0;
  int network = -1;  // stage that made the network; -1: the model as it is
  int trial = -1;    // index of the trial that shares with nobody; -1: shared
  int shard = -1;    // of `shards`; -1: not fanned out
  int shards = 0;
  const spec::Place* place = nullptr;  // for errors
};

// Makes the distinct stages of a plan: the recipe, its key, and the stages below. A recipe is
// written once for each different request; requests that differ in what a stage does not read find
// the stage that is there.
class StageBuilder {
 public:
  StageBuilder(const spec::Sweep& sweep, const Catalogue& joined,
               const std::vector<Catalogue>& catalogues, InputDigests& digests, Plan& plan);

  // Index into Plan::stages. `more`: inputs beside the declared ones ("shard.0").
  std::size_t stage(std::string_view name, const Request& request,
                    const std::vector<std::pair<std::string, std::size_t>>& more = {});

  int split_id(const std::string& split);
  // Stages that a stage takes as inputs, by index.
  const std::vector<std::uint32_t>& below(std::size_t stage) const { return below_[stage]; }
  InputFiles& files() { return files_; }

 private:
  struct Key {
    std::size_t declared;
    std::size_t parameters;
    std::size_t model;
    std::int64_t seed;
    std::int64_t calibration_seed;
    int data, split, weight_bits, activation_bits, network, trial, shard, shards;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  using Inputs = std::vector<std::pair<std::string, std::size_t>>;

  std::size_t stage(std::size_t declared, const Request& request, const Inputs& more);
  Key key_of(std::size_t declared, const Request& request);
  std::size_t projection(std::size_t declared, const ParameterSet& parameters);
  std::size_t make(std::size_t declared, const Request& request, Inputs inputs);
  Json parameters_of(const StageDeclaration& declaration, const Request& request) const;
  std::string label_of(const DeclaredStage& declared, const Request& request) const;

  const spec::Sweep& sweep_;
  const std::vector<Catalogue>& catalogues_;
  StageGraph graph_;
  InputFiles files_;
  Plan& plan_;
  std::vector<std::vector<std::uint32_t>> below_;
  std::vector<RecipePart> numerics_;   // by catalogue
  std::vector<RecipePart> providers_;  // by catalogue; null: the built-in one
  std::vector<std::string> splits_;
  std::unordered_map<Key, std::size_t, KeyHash> made_;
  std::unordered_map<std::string, std::size_t> by_key_;
  std::map<std::pair<std::size_t, std::size_t>, std::size_t> projections_;
  std::unordered_map<std::string, std::size_t> projection_ids_;
};

}  // namespace assay::plan
