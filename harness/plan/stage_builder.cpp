#include "harness/plan/stage_builder.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/core/digest.h"

namespace assay::plan {
namespace {

constexpr const char* kBuiltIn = "assay";
constexpr int kFloatBits = 16;

RecipePart part_of(Json value) {
  std::string text = value.is_null() ? "" : canonical_json(value);
  return {std::move(value), std::move(text), nullptr, ""};
}

RecipePart numerics_of(const Catalogue& catalogue, const spec::RunSettings& run) {
  Json numerics = catalogue.numerics;
  numerics["device"] = run.device;
  numerics["threads"] = run.threads;
  numerics["precision"] = run.precision;
  return part_of(std::move(numerics));
}

// The built-in provider's stages are told apart by their revisions, a foreign one's also by its
// version.
RecipePart provider_of(const Catalogue& catalogue) {
  if (catalogue.provider == kBuiltIn) return part_of(nullptr);
  return part_of({{"name", catalogue.provider}, {"version", catalogue.version}});
}

// Writes members of a recipe in canonical order, as value and as text at once.
class RecipeWriter {
 public:
  void add(const char* name, const Json& value, const std::string& text) {
    recipe_[name] = value;
    text_ += text_.empty() ? "{\"" : ",\"";
    text_ += name;
    text_ += "\":";
    text_ += text;
  }
  void add(const char* name, const Json& value) { add(name, value, canonical_json(value)); }

  Json take_recipe() { return std::move(recipe_); }
  std::string key() const { return sha256(text_ + "}"); }

 private:
  Json recipe_ = Json::object();
  std::string text_;
};

}  // namespace

std::size_t StageBuilder::KeyHash::operator()(const Key& key) const {
  std::size_t hash = 0;
  const auto mix = [&](std::size_t value) {
    hash ^= value + 0x9E3779B97F4A7C15U + (hash << 6) + (hash >> 2);
  };
  mix(key.declared);
  mix(key.parameters);
  mix(key.model);
  mix(static_cast<std::size_t>(key.seed));
  mix(static_cast<std::size_t>(key.calibration_seed));
  for (const int value : {key.data, key.split, key.weight_bits, key.activation_bits, key.network,
                          key.trial, key.shard, key.shards}) {
    mix(static_cast<std::size_t>(value));
  }
  return hash;
}

StageBuilder::StageBuilder(const spec::Sweep& sweep, const Catalogue& joined,
                           const std::vector<Catalogue>& catalogues, InputDigests& digests,
                           Plan& plan)
    : sweep_(sweep),
      catalogues_(catalogues),
      graph_(catalogues),
      files_(sweep, joined, digests),
      plan_(plan) {
  for (const Catalogue& catalogue : catalogues) {
    numerics_.push_back(numerics_of(catalogue, sweep.run));
    providers_.push_back(provider_of(catalogue));
  }
}

int StageBuilder::split_id(const std::string& split) {
  const auto found = std::find(splits_.begin(), splits_.end(), split);
  if (found == splits_.end()) splits_.push_back(split);
  return static_cast<int>(std::find(splits_.begin(), splits_.end(), split) - splits_.begin());
}

std::size_t StageBuilder::stage(std::string_view name, const Request& request, const Inputs& more) {
  return stage(graph_.index_of(name), request, more);
}

// Equal ids for parameter sets that agree in all that the stage and those below it read.
std::size_t StageBuilder::projection(std::size_t declared, const ParameterSet& parameters) {
  const auto key = std::make_pair(declared, parameters.id);
  const auto found = projections_.find(key);
  if (found != projections_.end()) return found->second;
  Json part = Json::object();
  for (const std::string& name : graph_[declared].reads) {
    const auto value = parameters.values->find(name);
    if (value != parameters.values->end()) part[name] = *value;
  }
  const auto id = projection_ids_.try_emplace(canonical_json(part), projection_ids_.size());
  return projections_.emplace(key, id.first->second).first->second;
}

StageBuilder::Key StageBuilder::key_of(std::size_t declared, const Request& request) {
  const DeclaredStage& stage = graph_[declared];
  Key key{};
  key.declared = declared;
  key.parameters = projection(declared, *request.parameters);
  key.model = stage.model ? request.model : 0;
  key.seed = stage.seed ? request.seed : 0;
  key.calibration_seed = stage.calibration_seed ? request.calibration_seed : 0;
  key.data = stage.data ? request.data : -1;
  key.split = stage.data ? request.split : 0;
  key.weight_bits = stage.weight_bits ? request.weight_bits : 0;
  key.activation_bits = stage.activation_bits ? request.activation_bits : 0;
  key.network = stage.network ? request.network : -1;
  key.trial = request.trial;
  key.shard = request.shard;
  key.shards = request.shards;
  return key;
}

std::size_t StageBuilder::stage(std::size_t declared, const Request& request, const Inputs& more) {
  const Key key = key_of(declared, request);
  // Stages with more inputs than declared are asked for once a trial; their key finds them.
  if (more.empty()) {
    const auto found = made_.find(key);
    if (found != made_.end()) return found->second;
  }
  const DeclaredStage& stage = graph_[declared];
  Request below = request;
  below.shard = -1;
  below.shards = 0;
  Inputs inputs = more;
  const InputConditions conditions{
      request.activation_bits > 0 ? request.activation_bits : kFloatBits,
      sweep_.models[request.model].task};
  for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
    const InputDeclaration& input = stage.declaration->inputs[i];
    if (!input.when.empty() && !holds(input.when, conditions)) continue;
    below.split = input.split.empty() ? request.split : split_id(input.split);
    inputs.emplace_back(input.name, this->stage(stage.inputs[i], below, {}));
  }
  if (stage.declaration->reads_network && request.network >= 0) {
    inputs.emplace_back("network", static_cast<std::size_t>(request.network));
  }
  std::sort(inputs.begin(), inputs.end());
  const std::size_t made = make(declared, request, std::move(inputs));
  if (more.empty()) made_.emplace(key, made);
  return made;
}

Json StageBuilder::parameters_of(const StageDeclaration& declaration,
                                 const Request& request) const {
  Json parameters = Json::object();
  for (const std::string& name : declaration.reads) {
    if (name == "w_bits") {
      parameters[name] = request.weight_bits > 0 ? request.weight_bits : kFloatBits;
    } else if (name == "a_bits") {
      parameters[name] = request.activation_bits > 0 ? request.activation_bits : kFloatBits;
    } else {
      const auto value = request.parameters->values->find(name);
      if (value == request.parameters->values->end()) {
        throw Error(ErrorKind::kData,
                    fmt::format("stage '{}' reads parameter '{}', which {} does not have",
                                declaration.name, name, request.parameters->owner),
                    {{"stage", declaration.name}, {"parameter", name}});
      }
      parameters[name] = *value;
    }
  }
  return parameters;
}

std::string StageBuilder::label_of(const DeclaredStage& declared, const Request& request) const {
  std::string label = declared.declaration->name;
  if (declared.model || declared.network) label += " " + sweep_.models[request.model].name;
  if (declared.declaration->reads_data && request.data >= 0) {
    label += " " + sweep_.data[static_cast<std::size_t>(request.data)].name + " " +
             splits_[static_cast<std::size_t>(request.split)];
  }
  if (request.weight_bits > 0 && (declared.weight_bits || declared.network)) {
    label += fmt::format(" W{}A{}", request.weight_bits, request.activation_bits);
  }
  if (declared.seed) label += fmt::format(" seed={}", request.seed);
  if (declared.declaration->random == "calibration_seed") {
    label += fmt::format(" calibration_seed={}", request.calibration_seed);
  }
  if (request.shards > 1) label += fmt::format(" [{}/{}]", request.shard, request.shards);
  return label;
}

std::size_t StageBuilder::make(std::size_t declared_index, const Request& request, Inputs inputs) {
  const DeclaredStage& declared = graph_[declared_index];
  const StageDeclaration& declaration = *declared.declaration;
  RecipeWriter recipe;
  Json locations = Json::object();
  if (declaration.reads_data) {
    if (request.data < 0) {
      spec::refuse(*request.place,
                   fmt::format("{} reads data, but there is none: give model '{}' "
                               "'data' or name 'data' here",
                               request.parameters->owner, sweep_.models[request.model].name));
    }
    const RecipePart& part = files_.data(static_cast<std::size_t>(request.data),
                                         splits_[static_cast<std::size_t>(request.split)]);
    recipe.add("data", part.value, part.text);
    locations["data"] = part.location;
  }
  Json input_keys = Json::object();
  std::string input_text;
  for (const auto& [name, index] : inputs) {
    const std::string& key = plan_.stages[index].key;
    input_keys[name] = key;
    input_text += fmt::format("{}\"{}\":\"{}\"", input_text.empty() ? "{" : ",", name, key);
  }
  recipe.add("inputs", input_keys, input_text.empty() ? "{}" : input_text + "}");
  std::string residency;
  if (declaration.reads_model || declaration.reads_tokenizer) {
    const RecipePart& part =
        files_.model(request.model, declaration.reads_model, declaration.reads_tokenizer);
    recipe.add("model", part.value, part.text);
    if (!part.location.is_null()) locations["model"] = part.location;
    if (declaration.reads_model) residency = part.id;
  }
  if (!declaration.exact) {
    const RecipePart& part = numerics_[declared.catalogue];
    recipe.add("numerics", part.value, part.text);
  }
  recipe.add("parameters", parameters_of(declaration, request));
  const RecipePart& provider = providers_[declared.catalogue];
  if (!provider.value.is_null()) recipe.add("provider", provider.value, provider.text);
  recipe.add("revision", declaration.revision);
  if (!declaration.random.empty()) {
    recipe.add("seed", declaration.random == "seed" ? request.seed : request.calibration_seed);
  }
  if (request.shard >= 0) recipe.add("shard", Json::array({request.shard, request.shards}));
  recipe.add("stage", declaration.name);
  if (request.trial >= 0) {
    recipe.add("unshared", sweep_.trials[static_cast<std::size_t>(request.trial)].id);
  }

  const auto [found, inserted] = by_key_.try_emplace(recipe.key(), plan_.stages.size());
  if (!inserted) return found->second;
  Stage stage;
  stage.key = found->first;
  stage.name = declaration.name;
  stage.label = label_of(declared, request);
  stage.recipe = recipe.take_recipe();
  stage.locations = std::move(locations);
  std::vector<std::uint32_t>& below = below_.emplace_back();
  for (const auto& [name, index] : inputs) {
    stage.inputs.push_back({name, plan_.stages[index].key});
    below.push_back(static_cast<std::uint32_t>(index));
  }
  stage.provider = catalogues_[declared.catalogue].provider;
  stage.resources = declaration.resources;
  stage.cache = declaration.cache;
  stage.retention = declaration.retention;
  stage.exclusive = declaration.exclusive;
  stage.residency = residency;
  plan_.stages.push_back(std::move(stage));
  return found->second;
}

}  // namespace assay::plan
