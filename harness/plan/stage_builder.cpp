#include "harness/plan/stage_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <optional>

#include "harness/contract/bits.h"
#include "harness/contract/network_chain.h"

namespace assay::plan {
namespace {

constexpr const char* kBuiltIn = "assay";
constexpr int kBitsBase = 32;  // of the bits in a key, a digit each; 0: not read

// A foreign provider that names its own libraries says by that what moves its bits; of any other the
// processor and MKL are assumed to.
RecipePart numerics_of(const Catalogue& catalogue, const spec::RunSettings& run) {
  Json numerics = catalogue.numerics;
  if (catalogue.provider == kBuiltIn || numerics.empty()) {
    numerics["cpu_level"] = run.cpu_level;
    numerics["mkl"] = run.mkl_intel ? "intel" : "other";
  }
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

std::string shard_label(int shard, int shards) {
  return shards > 1 ? fmt::format(" [{}/{}]", shard, shards) : "";
}

// `"name":text,`
std::string member(const char* name, const std::string& text) {
  return fmt::format("\"{}\":{},", name, text);
}

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
  for (const int value : {key.data, key.split, key.bits, key.network, key.trial, key.shard,
                          key.shards}) {
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
    provider_names_.emplace_back(catalogue.provider);
  }
  for (std::size_t i = 0; i < graph_.size(); ++i) {
    names_.emplace_back(graph_[i].declaration->name);
    std::vector<SharedText>& inputs = input_names_.emplace_back();
    for (const InputDeclaration& input : graph_[i].declaration->inputs) {
      inputs.emplace_back(input.name);
    }
  }
  last_parameters_.resize(graph_.size());
  projections_.resize(graph_.size());
}

void StageBuilder::reserve(std::size_t stages) {
  plan_.stages.reserve(stages);
  by_key_.reserve(stages);
  below_start_.reserve(stages + 1);
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
  std::vector<std::uint32_t>& known = projections_[declared];
  if (parameters.id >= known.size()) known.resize(parameters.id + 1, 0);
  if (known[parameters.id] > 0) return known[parameters.id] - 1;
  Json part = Json::object();
  for (const std::string& name : graph_[declared].reads) {
    const auto value = parameters.values->find(name);
    if (value != parameters.values->end()) part[name] = *value;
  }
  const auto id = projection_ids_.try_emplace(canonical_json(part), projection_ids_.size());
  known[parameters.id] = static_cast<std::uint32_t>(id.first->second) + 1;
  return id.first->second;
}

StageBuilder::Key StageBuilder::key_of(std::size_t declared, const Request& request) {
  const DeclaredStage& stage = graph_[declared];
  Key key{};
  key.declared = static_cast<std::uint32_t>(declared);
  key.parameters = static_cast<std::uint32_t>(projection(declared, *request.parameters));
  key.model = stage.model ? static_cast<std::uint32_t>(request.model) : 0;
  key.seed = stage.seed ? request.seed : 0;
  key.calibration_seed = stage.calibration_seed ? request.calibration_seed : 0;
  key.data = stage.data ? request.view : -1;
  key.split = stage.data ? request.split : 0;
  if (request.bits) {
    for (const auto& [member, reads] :
         {std::pair(&Bits::weights, stage.weight_bits),
          std::pair(&Bits::activations, stage.activation_bits),
          std::pair(&Bits::cache, stage.cache_bits)}) {
      key.bits = key.bits * kBitsBase + (reads ? (*request.bits).*member : 0);
    }
  }
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
  Inputs inputs = more;
  const InputConditions conditions{
      .bits = request.bits.value_or(Bits()),
      .task = sweep_.models[request.model].task,
      .parameters = request.parameters->values};
  for (std::size_t i = 0; i < stage.inputs.size(); ++i) {
    const InputDeclaration& input = stage.declaration->inputs[i];
    if (!input.when.empty() && !holds(input.when, conditions)) continue;
    below.split = input.split.empty() ? request.split : split_id(input.split);
    below.shard = input.same_shard ? request.shard : -1;
    below.shards = input.same_shard ? request.shards : 0;
    const std::size_t made = this->stage(stage.inputs[i], below, {});
    if (is_own_network(*stage.declaration, input)) {
      add_networks(made, inputs);
    } else {
      inputs.emplace_back(input_names_[declared][i], made);
    }
  }
  if (stage.declaration->reads_network && request.network >= 0) {
    add_networks(static_cast<std::size_t>(request.network), inputs);
  }
  std::sort(inputs.begin(), inputs.end());
  const std::size_t made = make(declared, request, inputs);
  if (more.empty()) made_.emplace(key, static_cast<std::uint32_t>(made));
  return made;
}

// What the methods before made: the network `last`, and before it those that it was made of.
void StageBuilder::add_networks(std::size_t last, Inputs& inputs) {
  static const SharedText kLast(network_input(0, 1));
  std::vector<std::size_t> chain;  // first to last; inputs are sorted by name
  std::optional<std::size_t> newest;
  const std::vector<StageInput>& own = plan_.stages[last].inputs;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i].name == kLast) {
      newest = below(last)[i];
    } else if (is_network_input(own[i].name)) {
      chain.push_back(below(last)[i]);
    }
  }
  if (newest) chain.push_back(*newest);
  for (std::size_t i = 0; i < chain.size(); ++i) {
    inputs.emplace_back(network_input(i, chain.size() + 1), chain[i]);
  }
  inputs.emplace_back(kLast, last);
}

// Canonical text. Stages follow each other by trial, so most ask for what the one before them read.
const SharedText& StageBuilder::parameters_of(std::size_t declared, const Request& request) {
  static const SharedText kNone("{}");
  const StageDeclaration& declaration = *graph_[declared].declaration;
  if (declaration.reads.empty()) return kNone;
  LastParameters& last = last_parameters_[declared];
  if (last.set != request.parameters->id || last.bits != request.bits) {
    last = {request.parameters->id, request.bits,
            canonical_json(parameter_values(declaration, request))};
  }
  return last.text;
}

Json StageBuilder::parameter_values(const StageDeclaration& declaration,
                                    const Request& request) const {
  Json parameters = Json::object();
  for (const std::string& name : declaration.reads) {
    if (int Bits::*const member = bits_named(name)) {
      parameters[name] = request.bits.value_or(Bits()).*member;
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
  const auto add = [&label](std::string_view word) { label.append(" ").append(word); };
  if (declared.model || declared.network) add(sweep_.models[request.model].name);
  if (declared.declaration->reads_data && request.data >= 0) {
    add(sweep_.data[static_cast<std::size_t>(request.data)].name);
    add(splits_[static_cast<std::size_t>(request.split)]);
  }
  const auto out = std::back_inserter(label);
  if (request.bits && (declared.weight_bits || declared.network)) {
    fmt::format_to(out, " {}", text_of(*request.bits));
  }
  if (declared.seed) fmt::format_to(out, " seed={}", request.seed);
  if (declared.declaration->random == "calibration_seed") {
    fmt::format_to(out, " calibration_seed={}", request.calibration_seed);
  }
  label += shard_label(request.shard, request.shards);
  return label;
}

const StageBuilder::Common& StageBuilder::common(std::size_t declared, const Request& request) {
  const DeclaredStage& stage = graph_[declared];
  const StageDeclaration& declaration = *stage.declaration;
  const bool model = declaration.reads_model || declaration.reads_tokenizer;
  const auto key = std::make_tuple(declared, model ? request.model : 0,
                                   declaration.reads_data ? request.view : -1,
                                   declaration.reads_data ? request.split : 0);
  const auto found = common_.find(key);
  if (found != common_.end()) return found->second;
  return common_.emplace(key, make_common(stage, request)).first->second;
}

StageBuilder::Common StageBuilder::make_common(const DeclaredStage& declared,
                                               const Request& request) {
  const StageDeclaration& declaration = *declared.declaration;
  RecipeFrame frame;
  Json locations = Json::object();
  std::string residency;
  if (declaration.reads_data) {
    if (request.data < 0) {
      spec::refuse(*request.place,
                   fmt::format("{} reads data, but there is none: give model '{}' "
                               "'data' or name 'data' here",
                               request.parameters->owner, sweep_.models[request.model].name));
    }
    const RecipePart& part = files_.data(request.view,
                                         splits_[static_cast<std::size_t>(request.split)]);
    frame.data = member("data", part.text);
    locations["data"] = part.location;
  }
  if (declaration.reads_model || declaration.reads_tokenizer) {
    const RecipePart& part =
        files_.model(request.model, declaration.reads_model, declaration.reads_tokenizer);
    frame.models = member("model", part.text);
    if (!part.location.is_null()) locations["model"] = part.location;
    if (declaration.reads_model) residency = part.id;
  }
  if (!declaration.exact) frame.models += member("numerics", numerics_[declared.catalogue].text);
  const RecipePart& provider = providers_[declared.catalogue];
  if (!provider.value.is_null()) frame.revision = member("provider", provider.text);
  frame.revision += fmt::format("\"revision\":{}", declaration.revision);
  frame.stage = fmt::format("\"stage\":{}", canonical_json(declaration.name));
  frame.random = !declaration.random.empty();
  return {std::make_shared<const RecipeFrame>(std::move(frame)), std::move(locations),
          std::move(residency), entered(content_read(declared, request))};
}

std::size_t StageBuilder::make(std::size_t declared_index, const Request& request,
                               const Inputs& inputs) {
  const DeclaredStage& declared = graph_[declared_index];
  const StageDeclaration& declaration = *declared.declaration;
  const Common& shared = common(declared_index, request);
  Stage stage;
  stage.name = names_[declared_index];
  stage.label = label_of(declared, request);
  stage.recipe =
      Recipe(shared.frame, parameters_of(declared_index, request),
             declaration.random == "seed" ? request.seed : request.calibration_seed, request.shard,
             request.shards,
             request.trial < 0 ? std::string() : own_mark(request.trial));
  stage.locations = shared.locations;
  stage.inputs.reserve(inputs.size());
  below_stage_.clear();
  for (const auto& [name, index] : inputs) {
    stage.inputs.push_back({name, plan_.stages[index].key});
    below_stage_.push_back(static_cast<std::uint32_t>(index));
  }
  stage.provider = provider_names_[declared.catalogue];
  stage.resources = declaration.resources;
  stage.cache = declaration.cache;
  stage.retention = declaration.retention;
  stage.exclusive = declaration.exclusive;
  stage.entries.model = static_cast<std::int32_t>(request.model);
  stage.entries.data = declaration.reads_data ? request.data : -1;
  stage.entries.evaluation = request.evaluation;
  stage.residency = shared.residency;
  return add(std::move(stage), below_stage_, shared.content);
}

std::size_t StageBuilder::add(Stage&& stage, std::span<const std::uint32_t> below,
                              std::uint32_t content) {
  text_.clear();
  stage.recipe.write(stage.inputs, text_);
  hash_.update(text_);
  std::string key = hash_.hex();
  const std::uint32_t index = by_key_.find_or_enter(key, plan_.stages);
  if (index < plan_.stages.size()) return index;
  stage.key = std::move(key);
  plan_.stages.push_back(std::move(stage));
  below_.insert(below_.end(), below.begin(), below.end());
  below_start_.push_back(below_.size());
  for (const std::uint32_t other : below) content = joined_content(content, content_of_[other]);
  content_of_.push_back(content);
  return index;
}

std::size_t StageBuilder::other_shard(std::size_t first, int shard, int shards) {
  Stage stage = plan_.stages[first];
  stage.recipe = stage.recipe.for_shard(shard);
  stage.label.resize(stage.label.size() - shard_label(0, shards).size());
  stage.label += shard_label(shard, shards);
  std::vector<std::uint32_t> inputs(below(first).begin(), below(first).end());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!plan_.stages[inputs[i]].recipe.is_shard()) continue;
    inputs[i] = static_cast<std::uint32_t>(other_shard(inputs[i], shard, shards));
    stage.inputs[i].key = plan_.stages[inputs[i]].key;
  }
  return add(std::move(stage), inputs, content_of_[first]);
}

// --- content

// With --no-share each trial has stages of its own.
std::string StageBuilder::own_mark(int trial) const {
  const spec::Trial& own = sweep_.trials[static_cast<std::size_t>(trial)];
  return sha256(spec::identity_text(sweep_, own)).substr(0, spec::kIdDigits);
}

StageBuilder::Content StageBuilder::content_read(const DeclaredStage& declared,
                                                 const Request& request) {
  const StageDeclaration& declaration = *declared.declaration;
  Content content;
  // Another version of a provider is another method, and so is another revision of a built-in
  // stage.
  const RecipePart& provider = providers_[declared.catalogue];
  if (provider.value.is_null()) {
    content["revision." + declaration.name] = std::to_string(declaration.revision);
  } else {
    content["code." + provider_names_[declared.catalogue].str()] = provider.id;
  }
  if (declaration.reads_data) {
    const std::string& split = splits_[static_cast<std::size_t>(request.split)];
    content["data." + split] = files_.data(request.view, split).id;
  }
  if (declaration.reads_model) content["weights"] = files_.model(request.model, true, false).id;
  if (declaration.reads_tokenizer) {
    const RecipePart& part = files_.model(request.model, false, true);
    const auto files = part.value.find("files");
    if (files != part.value.end() && !files->empty()) content["tokenizer"] = part.id;
  }
  return content;
}

std::uint32_t StageBuilder::entered(const Content& content) {
  const auto [found, fresh] =
      content_ids_.try_emplace(content, static_cast<std::uint32_t>(contents_.size()));
  if (fresh) {
    contents_.push_back(content);
    content_texts_.push_back(canonical_json(Json(content)));
  }
  return found->second;
}

std::uint32_t StageBuilder::joined_content(std::uint32_t a, std::uint32_t b) {
  if (a == b || b == 0) return a;
  const auto found = content_joins_.find({a, b});
  if (found != content_joins_.end()) return found->second;
  Content both = contents_[a];
  both.insert(contents_[b].begin(), contents_[b].end());
  return content_joins_.emplace(std::make_pair(a, b), entered(both)).first->second;
}

std::uint32_t StageBuilder::content_of_model(std::uint32_t content) {
  const auto found = model_contents_.find(content);
  if (found != model_contents_.end()) return found->second;
  Content model = contents_[content];
  std::erase_if(model, [](const auto& item) {
    return item.first.starts_with("data.") || item.first.starts_with("revision.") ||
           item.first.starts_with("code.");
  });
  return model_contents_.emplace(content, entered(model)).first->second;
}

}  // namespace assay::plan
