#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "harness/base/digest.h"
#include "harness/contract/bits.h"
#include "harness/contract/catalogue.h"
#include "harness/plan/input_files.h"
#include "harness/plan/key_index.h"
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
  int view = -1;  // of `data`, as InputFiles::views() counts
  int split = 0;  // as StageBuilder::split_id
  std::optional<Bits> bits;  // nothing: the method reads none
  std::int64_t seed = 0;
  std::int64_t calibration_seed = 0;
  int network = -1;  // stage that made the network; -1: the model as it is
  int trial = -1;    // index of the trial that shares with nobody; -1: shared
  int shard = -1;    // of `shards`; -1: not fanned out
  int shards = 0;
  int evaluation = -1;                 // entry of the sweep; -1: a method asks
  const spec::Place* place = nullptr;  // for errors
};

// Makes the distinct stages of a plan: the recipe, its key, and the stages below. A recipe is
// written once for each different request; requests that differ in what a stage does not read find
// the stage that is there.
class StageBuilder {
 public:
  StageBuilder(const spec::Sweep& sweep, const Catalogue& joined,
               const std::vector<Catalogue>& catalogues, InputDigests& digests, Plan& plan);

  using Inputs = std::vector<std::pair<SharedText, std::size_t>>;

  // Index into Plan::stages. `more`: inputs beside the declared ones ("shard.0").
  std::size_t stage(std::string_view name, const Request& request, const Inputs& more = {});
  // Shard 0 is there: another one, the same but for its number and for the inputs that are shards.
  std::size_t other_shard(std::size_t first, int shard, int shards);

  // So many stages are to be expected.
  void reserve(std::size_t stages);

  int split_id(const std::string& split);
  // Stages that a stage takes as inputs, by index.
  std::span<const std::uint32_t> below(std::size_t stage) const {
    return {below_.data() + below_start_[stage], below_start_[stage + 1] - below_start_[stage]};
  }
  InputFiles& files() { return files_; }

  // What of the model and of data sets a stage rests on, itself or through its inputs, as a number
  // (equal numbers, equal content). 0: nothing.
  std::uint32_t content_of(std::size_t stage) const { return content_of_[stage]; }
  std::uint32_t joined_content(std::uint32_t a, std::uint32_t b);
  // Without data.
  std::uint32_t content_of_model(std::uint32_t content);
  // {"weights": digest, "tokenizer": digest, "data.train": digest}, canonical; "" for 0.
  const std::string& content_text(std::uint32_t content) const { return content_texts_[content]; }

 private:
  using Content = std::map<std::string, std::string>;
  struct Key {
    std::int64_t seed;
    std::int64_t calibration_seed;
    std::uint32_t declared, parameters, model;
    int data, split, bits, network, trial, shard, shards;
    bool operator==(const Key&) const = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  // What stages of one declaration, model and data have in common.
  struct Common {
    std::shared_ptr<const RecipeFrame> frame;
    Shared<Json> locations;
    SharedText residency;
    std::uint32_t content = 0;
  };
  // The parameters that the last stage of a declaration read.
  struct LastParameters {
    std::size_t set = static_cast<std::size_t>(-1);
    std::optional<Bits> bits;
    SharedText text;
  };

  std::size_t stage(std::size_t declared, const Request& request, const Inputs& more);
  Key key_of(std::size_t declared, const Request& request);
  std::size_t projection(std::size_t declared, const ParameterSet& parameters);
  void add_networks(std::size_t last, Inputs& inputs);
  std::size_t make(std::size_t declared, const Request& request, const Inputs& inputs);
  // Adds `stage` with its key, unless it is there. `content`: what it reads itself.
  std::size_t add(Stage&& stage, std::span<const std::uint32_t> below, std::uint32_t content);
  std::uint32_t entered(const Content& content);
  Content content_read(const DeclaredStage& declared, const Request& request);
  std::string own_mark(int trial) const;
  const Common& common(std::size_t declared, const Request& request);
  Common make_common(const DeclaredStage& declared, const Request& request);
  const SharedText& parameters_of(std::size_t declared, const Request& request);
  Json parameter_values(const StageDeclaration& declaration, const Request& request) const;
  std::string label_of(const DeclaredStage& declared, const Request& request) const;

  const spec::Sweep& sweep_;
  const std::vector<Catalogue>& catalogues_;
  StageGraph graph_;
  InputFiles files_;
  Plan& plan_;
  std::vector<std::uint32_t> below_;  // of all stages, one after the other
  std::vector<std::size_t> below_start_{0};
  std::vector<RecipePart> numerics_;   // by catalogue
  std::vector<RecipePart> providers_;  // by catalogue; null: the built-in one
  std::vector<SharedText> provider_names_;
  std::vector<SharedText> names_;                     // of declared stages
  std::vector<std::vector<SharedText>> input_names_;  // of declared stages
  std::vector<LastParameters> last_parameters_;       // by declared stage
  std::vector<std::string> splits_;
  std::unordered_map<Key, std::uint32_t, KeyHash> made_;
  KeyIndex by_key_;
  std::map<std::tuple<std::size_t, std::size_t, int, int>, Common> common_;
  std::vector<std::vector<std::uint32_t>> projections_;  // by declared stage and parameter set, + 1
  std::unordered_map<std::string, std::size_t> projection_ids_;
  std::vector<std::uint32_t> content_of_;  // by stage
  std::vector<Content> contents_ = std::vector<Content>(1);  // 0: nothing
  std::vector<std::string> content_texts_ = std::vector<std::string>(1);
  std::map<Content, std::uint32_t> content_ids_ = {{Content(), 0U}};
  std::map<std::uint32_t, std::uint32_t> model_contents_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> content_joins_;
  Sha256 hash_;
  std::string text_;                        // of the recipe at hand
  std::vector<std::uint32_t> below_stage_;  // of the stage at hand
};

}  // namespace assay::plan
