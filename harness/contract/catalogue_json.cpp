#include <fmt/format.h>

#include <array>
#include <cmath>
#include <set>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/contract/catalogue.h"

// One list of fields a record drives both directions: `fields(record, visitor)` names each member
// once.

namespace assay {
namespace {

template <typename V>
void fields(ParameterSchema& r, V& v) {
  v("name", r.name), v("type", r.type), v("default", r.default_value), v("unit", r.unit),
      v("minimum", r.minimum), v("maximum", r.maximum), v("choices", r.choices), v("doc", r.doc),
      v("when", r.when);
}
template <typename V>
void fields(Resources& r, V& v) {
  v("threads", r.threads), v("memory_bytes", r.memory_bytes), v("gpus", r.gpus),
      v("gpu_memory_bytes", r.gpu_memory_bytes);
}
template <typename V>
void fields(InputDeclaration& r, V& v) {
  v("name", r.name), v("stage", r.stage), v("split", r.split), v("when", r.when),
      v("same_shard", r.same_shard);
}
template <typename V>
void fields(StageDeclaration& r, V& v) {
  v("name", r.name), v("revision", r.revision), v("reads", r.reads),
      v("reads_model", r.reads_model), v("reads_tokenizer", r.reads_tokenizer),
      v("reads_data", r.reads_data), v("reads_network", r.reads_network), v("inputs", r.inputs),
      v("random", r.random), v("exact", r.exact), v("cache", r.cache), v("retention", r.retention),
      v("resources", r.resources), v("exclusive", r.exclusive);
}
template <typename V>
void fields(MethodDeclaration& r, V& v) {
  v("name", r.name), v("title", r.title), v("paper", r.paper), v("families", r.families),
      v("parameters", r.parameters), v("reads_bits", r.reads_bits), v("calibration", r.calibration),
      v("traits", r.traits), v("switches", r.switches), v("network", r.network),
      v("values", r.values), v("extra_stages", r.extra_stages), v("precisions", r.precisions),
      v("canary", r.canary);
}
template <typename V>
void fields(SampleValues& r, V& v) {
  v("tensor", r.tensor), v("statistic", r.statistic), v("weights", r.weights);
}
template <typename V>
void fields(MetricValue& r, V& v) {
  v("name", r.name), v("unit", r.unit), v("higher_is_better", r.higher_is_better),
      v("primary", r.primary), v("samples", r.samples);
}
template <typename V>
void fields(MetricDeclaration& r, V& v) {
  v("name", r.name), v("title", r.title), v("task", r.task), v("parameters", r.parameters),
      v("stage", r.stage), v("merge", r.merge), v("shards_parameter", r.shards_parameter),
      v("values", r.values);
}
template <typename V>
void fields(FamilyDeclaration& r, V& v) {
  v("name", r.name), v("title", r.title), v("task", r.task), v("model_types", r.model_types),
      v("configuration", r.configuration), v("context", r.context), v("precisions", r.precisions);
}
template <typename V>
void fields(ReaderFile& r, V& v) {
  v("role", r.role), v("path", r.path);
}
template <typename V>
void fields(ReaderDeclaration& r, V& v) {
  v("name", r.name), v("title", r.title), v("task", r.task), v("parameters", r.parameters),
      v("roots", r.roots), v("files", r.files), v("roles", r.roles), v("folder", r.folder);
}
template <typename V>
void fields(Catalogue& r, V& v) {
  v("provider", r.provider), v("version", r.version), v("numerics", r.numerics),
      v("files", r.files), v("inspects", r.inspects), v("stages", r.stages),
      v("methods", r.methods), v("metrics", r.metrics), v("families", r.families),
      v("readers", r.readers);
}

// --- writing

struct Writer {
  Json out = Json::object();

  template <typename T>
  void operator()(const char* name, T& value) {
    out[name] = encode(value);
  }

  static Json encode(const std::string& value) { return value; }
  static Json encode(const Json& value) { return value; }
  static Json encode(bool value) { return value; }
  static Json encode(int value) { return value; }
  static Json encode(std::int64_t value) { return value; }
  static Json encode(double value) { return value; }
  static Json encode(const std::optional<double>& value) {
    return value ? Json(*value) : Json(nullptr);
  }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  static Json encode(Enum value) { return enum_name(value); }
  template <typename T>
  static Json encode(std::vector<T>& list) {
    Json array = Json::array();
    for (T& element : list) array.push_back(encode(element));
    return array;
  }
  template <typename T>
  static Json encode(std::map<std::string, T>& table) {
    Json object = Json::object();
    for (auto& [key, value] : table) object[key] = encode(value);
    return object;
  }
  template <typename Record>
  static auto encode(Record& record) -> decltype(fields(record, std::declval<Writer&>()), Json()) {
    Writer writer;
    fields(record, writer);
    return writer.out;
  }
};

// --- reading

struct Reader {
  const Json& in;
  std::string where;  // "catalogue.stages[3]"
  std::vector<std::string> known = {};

  [[noreturn]] static void refuse(const std::string& place, const std::string& problem) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", place, problem), {{"field", place}});
  }

  template <typename T>
  void operator()(const char* name, T& value) {
    known.emplace_back(name);
    const auto found = in.find(name);
    if (found == in.end()) {
      if (std::string_view(name) == "name" || std::string_view(name) == "provider") {
        refuse(where, fmt::format("'{}' is missing", name));
      }
      return;  // keeps its default
    }
    decode(*found, value, fmt::format("{}.{}", where, name));
  }

  static void decode(const Json& json, std::string& value, const std::string& place) {
    if (!json.is_string()) refuse(place, "must be a text, not " + json.dump().substr(0, 100));
    value = json.get<std::string>();
  }
  static void decode(const Json& json, Json& value, const std::string&) { value = json; }
  static void decode(const Json& json, bool& value, const std::string& place) {
    if (!json.is_boolean())
      refuse(place, "must be true or false, not " + json.dump().substr(0, 100));
    value = json.get<bool>();
  }
  static void decode(const Json& json, std::int64_t& value, const std::string& place) {
    if (!json.is_number_integer())
      refuse(place, "must be an integer, not " + json.dump().substr(0, 100));
    value = json.get<std::int64_t>();
  }
  static void decode(const Json& json, int& value, const std::string& place) {
    std::int64_t wide = 0;
    decode(json, wide, place);
    if (wide < 0 || wide > 1'000'000'000) refuse(place, fmt::format("{} is out of range", wide));
    value = static_cast<int>(wide);
  }
  static void decode(const Json& json, double& value, const std::string& place) {
    if (!json.is_number()) refuse(place, "must be a number, not " + json.dump().substr(0, 100));
    value = json.get<double>();
  }
  static void decode(const Json& json, std::optional<double>& value, const std::string& place) {
    if (json.is_null()) return value.reset();
    double number = 0;
    decode(json, number, place);
    value = number;
  }
  template <typename Enum>
  requires std::is_enum_v<Enum>
  static void decode(const Json& json, Enum& value, const std::string& place) {
    const std::string text =
        json.is_string() ? json.get<std::string>() : json.dump().substr(0, 100);
    for (const EnumName<Enum>& each : enum_names(value)) {
      if (json == each.name) {
        value = each.value;
        return;
      }
    }
    refuse(place, fmt::format("'{}' is not known{}", text, suggestion(text, enum_choices<Enum>())));
  }
  template <typename T>
  static void decode(const Json& json, std::vector<T>& list, const std::string& place) {
    if (!json.is_array()) refuse(place, "must be a list, not " + json.dump().substr(0, 100));
    list.clear();
    for (std::size_t i = 0; i < json.size(); ++i) {
      T element{};
      decode(json[i], element, fmt::format("{}[{}]", place, i));
      list.push_back(std::move(element));
    }
  }
  template <typename T>
  static void decode(const Json& json, std::map<std::string, T>& table, const std::string& place) {
    if (!json.is_object()) refuse(place, "must be a mapping, not " + json.dump().substr(0, 100));
    for (const auto& item : json.items())
      decode(item.value(), table[item.key()], place + "." + item.key());
  }
  template <typename Record>
  static auto decode(const Json& json, Record& record, const std::string& place)
      -> decltype(fields(record, std::declval<Reader&>()), void()) {
    if (!json.is_object()) refuse(place, "must be a mapping, not " + json.dump().substr(0, 100));
    Reader reader{json, place};
    fields(record, reader);
    for (const auto& item : json.items()) {
      if (std::find(reader.known.begin(), reader.known.end(), item.key()) == reader.known.end()) {
        refuse(place, fmt::format("unknown field '{}'{}", item.key(),
                                  suggestion(item.key(), reader.known)));
      }
    }
  }
};

template <typename Record>
std::set<std::string> unique_names(const std::vector<Record>& records, const char* what) {
  std::set<std::string> names;
  for (const Record& record : records) {
    if (record.name.empty()) Reader::refuse(fmt::format("catalogue.{}", what), "a name is empty");
    if (!names.insert(record.name).second) {
      Reader::refuse(fmt::format("catalogue.{}", what),
                     fmt::format("'{}' is declared twice", record.name));
    }
  }
  return names;
}

// A parameter that is read under conditions needs a default for where they do not hold, and its
// conditions look at other parameters of the same method.
void check_conditions(const MethodDeclaration& method) {
  for (const ParameterSchema& schema : method.parameters) {
    if (schema.when.empty()) continue;
    const std::string place = fmt::format("method {}: when '{}' of parameter '{}'", method.name,
                                          schema.when, schema.name);
    try {
      holds(schema.when, {});
    } catch (const Error& error) {
      Reader::refuse(place, error.what());
    }
    if (schema.default_value.is_null()) Reader::refuse(place, "the parameter needs a default");
    for (const std::string& name : parameters_in(schema.when)) {
      const bool other = name != schema.name &&
                         std::any_of(method.parameters.begin(), method.parameters.end(),
                                     [&](const ParameterSchema& p) { return p.name == name; });
      if (!other) {
        Reader::refuse(place, fmt::format("'{}' is no other parameter of this method", name));
      }
    }
  }
}

void refuse_conditions(const std::vector<ParameterSchema>& schemas, const std::string& owner) {
  for (const ParameterSchema& schema : schemas) {
    if (schema.when.empty()) continue;
    Reader::refuse(owner,
                   fmt::format("parameter '{}': 'when' is for parameters of methods", schema.name));
  }
}

// Networks wait for canaries, so that nothing that a canary needs may be a network.
void check_canary(const Catalogue& catalogue, const MethodDeclaration& method) {
  const StageDeclaration& stage = *catalogue.find_stage(method.canary);
  if (stage.reads_model || stage.reads_tokenizer || stage.reads_data || stage.reads_network ||
      !stage.reads.empty() || !stage.inputs.empty() || !stage.random.empty()) {
    Reader::refuse("method " + method.name,
                   fmt::format("canary '{}' reads parameters, inputs, a model, data or a seed; a "
                               "canary brings its own example along",
                               method.canary));
  }
  for (const MethodDeclaration& other : catalogue.methods) {
    if (other.network != method.canary) continue;
    Reader::refuse("method " + method.name,
                   fmt::format("canary '{}' makes the network of method '{}'; name a stage of its "
                               "own",
                               method.canary, other.name));
  }
}

void check_samples(const std::vector<MetricValue>& values, const std::string& owner,
                   bool of_method) {
  unique_names(values, "values");
  for (const auto& [name, unit, higher_is_better, primary, samples] : values) {
    const std::string place = fmt::format("{}: samples of '{}'", owner, name);
    if (of_method && samples != SampleValues()) {
      Reader::refuse(place, "a figure of a network has no per-sample values");
    }
    if (samples.tensor.empty() && samples != SampleValues()) {
      Reader::refuse(place, "'tensor' is missing");
    }
    if (samples.statistic == SampleStatistic::kShare && !samples.weights.empty()) {
      Reader::refuse(place, "a share has no weights; write the statistic 'mean'");
    }
  }
}

void check_references(const Catalogue& catalogue) {
  const std::set<std::string> stages = unique_names(catalogue.stages, "stages");
  unique_names(catalogue.methods, "methods");
  unique_names(catalogue.metrics, "metrics");
  unique_names(catalogue.families, "families");
  unique_names(catalogue.readers, "readers");
  const std::vector<std::string> names(stages.begin(), stages.end());
  const auto require = [&](const std::string& owner, const std::string& stage) {
    if (!stages.contains(stage)) {
      Reader::refuse(owner, fmt::format("refers to stage '{}', which is not declared{}", stage,
                                        suggestion(stage, names)));
    }
  };
  for (const StageDeclaration& stage : catalogue.stages) {
    for (const InputDeclaration& input : stage.inputs) {
      try {
        holds(input.when, {});
      } catch (const Error& error) {
        Reader::refuse("stage " + stage.name, error.what());
      }
    }
    if (!stage.random.empty() && stage.random != "seed" && stage.random != "calibration_seed") {
      Reader::refuse("stage " + stage.name,
                     "random must be '', 'seed' or 'calibration_seed', not '" + stage.random + "'");
    }
  }
  for (const MethodDeclaration& method : catalogue.methods) {
    check_conditions(method);
    check_samples(method.values, "method " + method.name, true);
    if (!method.values.empty() && method.network.empty()) {
      Reader::refuse("method " + method.name,
                     "'values' are metrics of 'network', which is not named");
    }
    if (!method.network.empty()) require("method " + method.name, method.network);
    for (const std::string& stage : method.extra_stages) require("method " + method.name, stage);
    if (!method.canary.empty()) {
      require("method " + method.name, method.canary);
      check_canary(catalogue, method);
    }
  }
  for (const FamilyDeclaration& family : catalogue.families) {
    refuse_conditions(family.configuration, "family " + family.name);
  }
  for (const ReaderDeclaration& reader : catalogue.readers) {
    refuse_conditions(reader.parameters, "reader " + reader.name);
  }
  for (const MetricDeclaration& metric : catalogue.metrics) {
    refuse_conditions(metric.parameters, "metric " + metric.name);
    check_samples(metric.values, "metric " + metric.name, false);
    if (metric.name == kNetworkMetric) {
      Reader::refuse("metric " + metric.name, "this name stands for the values of methods");
    }
    require("metric " + metric.name, metric.stage);
    if (!metric.merge.empty()) require("metric " + metric.name, metric.merge);
  }
}

// Their content is read, so their number and form are bounded.
void check_files(const Catalogue& catalogue) {
  constexpr std::size_t kMaxFiles = 20'000;
  constexpr std::size_t kMaxPath = 4'096;
  if (catalogue.files.size() > kMaxFiles) {
    Reader::refuse("catalogue.files", fmt::format("{} files; at most {} may be named",
                                                  catalogue.files.size(), kMaxFiles));
  }
  for (const std::string& file : catalogue.files) {
    if (file.starts_with('/') && file.size() <= kMaxPath && file.find('\0') == std::string::npos)
      continue;
    Reader::refuse("catalogue.files",
                   fmt::format("'{}' is not the absolute path of a file", file.substr(0, 100)));
  }
}

void check_numerics(const Catalogue& catalogue) {
  if (catalogue.numerics.is_object()) return;
  Reader::refuse("catalogue.numerics", "must be a mapping, such as {\"torch\": \"2.15\"}, not " +
                                           catalogue.numerics.dump().substr(0, 100));
}

}  // namespace

Json to_json(const Catalogue& catalogue) {
  Catalogue copy = catalogue;  // the visitors take members by reference
  return Writer::encode(copy);
}

std::string text_of(const SampleValues& samples) {
  if (samples.tensor.empty()) return "";
  SampleValues copy = samples;
  return canonical_json(Writer::encode(copy));
}

SampleValues sample_values_from(const std::string& text) {
  SampleValues samples;
  if (!text.empty()) Reader::decode(parse_json(text, "samples"), samples, "samples");
  return samples;
}

Catalogue catalogue_from(const Json& json) {
  Catalogue catalogue;
  Reader::decode(json, catalogue, "catalogue");
  check_references(catalogue);
  check_files(catalogue);
  check_numerics(catalogue);
  return catalogue;
}

}  // namespace assay
