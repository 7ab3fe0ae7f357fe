#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/enum_names.h"
#include "harness/base/json.h"
#include "harness/contract/bits.h"

// What a provider (an executor) offers: the answer to `describe`. Everything the planner knows of
// methods, models, data sets and metrics stands here, so that control code needs no LibTorch and a
// Python script can join. JSON form: docs/formats/catalogue.md; one field list a record, in
// catalogue_json.cpp.

namespace assay {

enum class ParameterType { kBool, kInteger, kReal, kString, kPath, kIntegers, kReals, kStrings };

constexpr auto enum_names(ParameterType) {
  using enum ParameterType;
  return std::to_array<EnumName<ParameterType>>({{kBool, "bool"},
                                                 {kInteger, "integer"},
                                                 {kReal, "real"},
                                                 {kString, "string"},
                                                 {kPath, "path"},
                                                 {kIntegers, "integers"},
                                                 {kReals, "reals"},
                                                 {kStrings, "strings"}});
}

// A typed parameter of a method, reader, metric or model family.
struct ParameterSchema {
  std::string name;
  ParameterType type = ParameterType::kReal;
  Json default_value;             // null: must be given
  std::string unit;               // "tokens", "pixels", "s", or ""
  std::optional<double> minimum;  // numbers, each element of lists; inclusive
  std::optional<double> maximum;
  std::vector<std::string> choices;  // strings: the legal values; empty: any
  std::string doc;                   // one sentence
  std::string when;  // of a method's parameter: conditions (as InputDeclaration::when) that must
                     // all hold for it to be read; "": always. Where one does not hold, the
                     // parameter is no part of the trial, and its stages find the default

  bool operator==(const ParameterSchema&) const = default;
};

// Checks `value` against the schema and returns its canonical form (1 -> 1.0 for a real, ...).
// Throws Error(kConfig): parameter name, the value, the legal values.
Json checked_value(const ParameterSchema& schema, const Json& value);

// Defaults of all schemas overlaid with `given`, every value checked. Throws Error(kConfig) for a
// name that no schema has (with the nearest) and for a missing value without default.
Json checked_parameters(const std::vector<ParameterSchema>& schemas, const Json& given,
                        std::string_view owner);

// What a stage asks of a slot.
struct Resources {
  double threads = 1;
  std::int64_t memory_bytes = 0;  // 0: unknown
  double gpus = 0;
  std::int64_t gpu_memory_bytes = 0;

  bool operator==(const Resources&) const = default;
};

enum class CachePolicy { kShared, kRun };  // kRun: valid in the run that made it only (a latency)
enum class Retention {
  kKeep,
  kTemporary
};  // kTemporary: dropped when the last consumer has published

constexpr auto enum_names(CachePolicy) {
  return std::to_array<EnumName<CachePolicy>>(
      {{CachePolicy::kShared, "shared"}, {CachePolicy::kRun, "run"}});
}
constexpr auto enum_names(Retention) {
  return std::to_array<EnumName<Retention>>(
      {{Retention::kKeep, "keep"}, {Retention::kTemporary, "temp"}});
}

// Where a stage gets an artifact from.
struct InputDeclaration {
  std::string name;   // what the stage body asks for: "tokens"; "network" (of a stage without
                      // reads_network, without a condition): its method goes on with the network
                      // that the other stage made, behind those of the methods before
  std::string stage;  // a stage of this catalogue, or of another provider of the sweep: "tokenize"
  std::string split;  // data split that the input stage reads; "": the split of the consumer
  std::string when;   // conditions joined by commas that must all hold for the input to exist:
                      // "quantizes_weights" (w_bits < 16), "quantizes_activations" (a_bits < 16),
                      // "quantizes_cache" (kv_bits < 16), "task:classification", "task:language", "act=token" and "group!=-1" (a
                      // parameter of the same method or metric has this value, or another);
                      // "": always. StageContext::has_input tells the body
  bool same_shard = false;  // a metric's stage takes the part of its own shard: the input is fanned
                            // out as its consumer is. Else it is one stage for all shards

  bool operator==(const InputDeclaration&) const = default;
};

// What decides whether an input exists in a trial, and whether a parameter is read.
struct InputConditions {
  Bits bits;
  std::string task;                  // of the model
  const Json* parameters = nullptr;  // of the method or metric; null: none has any value
};

// Whether all conditions of `when` hold. Throws Error(kConfig) for one that is not known.
bool holds(std::string_view when, const InputConditions& conditions);

// Names of the parameters that the conditions of `when` look at.
std::vector<std::string> parameters_in(std::string_view when);

// `when` for people: "granularity: group and weights below 16 bits".
std::string condition_text(std::string_view when);

// A unit of work, of caching and of scheduling.
struct StageDeclaration {
  std::string name;  // "gptq.quantize"; unique in the catalogue
  int revision = 1;  // raised whenever the same recipe gives other bytes
  std::vector<std::string>
      reads;  // parameters that enter its key: the method's or metric's own, "w_bits", "a_bits",
             // "kv_bits"
  bool reads_model = false;      // digests of config and weights enter its key
  bool reads_tokenizer = false;  // digests of the model's tokenizer files enter its key
  bool reads_data = false;       // digests of the data set's files of its split enter its key
  bool reads_network = false;    // gets the artifacts of the methods before it, first to last, as
                                 // inputs "network.0", "network.1", ... and "network"
  std::vector<InputDeclaration> inputs;
  std::string random;  // "", "seed" or "calibration_seed": the seed that enters its key
  bool exact = false;  // same bytes on every machine: no numerics class in its key
  CachePolicy cache = CachePolicy::kShared;
  Retention retention = Retention::kKeep;
  Resources resources;
  bool exclusive = false;  // nothing else may run on the node meanwhile (timing)

  bool operator==(const StageDeclaration&) const = default;
};

// How a figure follows from per-sample values, and so how two trials are compared by it.
enum class SampleStatistic {
  kMean,     // the sum of the values over the sum of their weights
  kExpMean,  // the exponential of that mean: a perplexity of negative log-likelihoods
  kShare     // the mean of answers that are right (1) or wrong (0), in percent
};

constexpr auto enum_names(SampleStatistic) {
  return std::to_array<EnumName<SampleStatistic>>({{SampleStatistic::kMean, "mean"},
                                                   {SampleStatistic::kExpMean, "exp_mean"},
                                                   {SampleStatistic::kShare, "share"}});
}

// The per-sample values behind a figure: tensors of the stage's samples.safetensors, each
// [samples] and of the same samples in every trial with the same protocol.
struct SampleValues {
  std::string tensor;  // "correct"; "": the figure has none, and trials are not compared by it
  SampleStatistic statistic = SampleStatistic::kMean;
  std::string weights;  // "window_tokens"; "": every sample counts 1

  bool operator==(const SampleValues&) const = default;
};

// JSON text of a field of the database; "" for a figure without per-sample values.
std::string text_of(const SampleValues& samples);
// Throws Error(kData) for a text that text_of does not give.
SampleValues sample_values_from(const std::string& text);

// One figure that a metric entry of a sweep yields, or that a method tells of its network.
struct MetricValue {
  std::string name;  // "top1"
  std::string unit;  // "%", "", "ms", "tokens/s"
  bool higher_is_better = true;
  bool primary = false;  // shown on the board unasked
  SampleValues samples = {};

  bool operator==(const MetricValue&) const = default;
};

// Under this name the values of a method stand among the metrics of its trials.
inline constexpr const char* kNetworkMetric = "network";

// A compression method (or `float`, or `train`).
struct MethodDeclaration {
  std::string name;
  std::string title;                  // one line
  std::string paper;                  // citation, or ""
  std::vector<std::string> families;  // model families it fits; empty: all
  std::vector<ParameterSchema> parameters;
  bool reads_bits = false;            // the `bits` axis is part of its trials
  std::string calibration;            // "none", "calibration" or "training": data it needs
  std::vector<std::string> traits;    // "deterministic", "quantizer", "float", "trains"
  std::vector<std::string> switches;  // boolean parameters that an ablation may turn off
  std::string network;  // stage whose artifact is the trial's network; "": the model as it is
  std::vector<MetricValue> values;  // metrics of that stage which describe the network, and which
                                    // boards show beside every figure of a trial: "bits_per_weight"
  std::vector<std::string> extra_stages;  // stages that run though nobody consumes them
  std::vector<std::string> precisions;    // values of run.precision that it can do; empty: all
  // A stage that reads nothing and fails if the method does not do what it says on an example of
  // its own; a trial of the method is done only with it. It is no part of the trial's identity.
  std::string canary;

  bool operator==(const MethodDeclaration&) const = default;
};

// A metric that `evaluate:` may name. `stage` is fanned out `shards` times (shard i of m takes the
// chunks [i C / m, (i + 1) C / m) of C), `merge` joins the shards, which it finds as its inputs
// "shard.0" to "shard.<m - 1>"; without fan-out `merge` is "".
struct MetricDeclaration {
  std::string name;
  std::string title;
  std::string task;                         // "classification", "language" or "" (any)
  std::vector<ParameterSchema> parameters;  // protocol settings: all enter the fingerprint
  std::string stage;
  std::string merge;
  std::string shards_parameter;  // the parameter that holds m; "": no fan-out
  std::vector<MetricValue> values;

  bool operator==(const MetricDeclaration&) const = default;
};

struct FamilyDeclaration {
  std::string name;  // "vit", "opt"
  std::string title;
  std::string task;  // "classification", "language"
  std::vector<std::string>
      model_types;  // config.json `model_type` / `architecture` values that mean this family
  std::vector<ParameterSchema>
      configuration;    // what a network without weights needs (`config:` in the sweep)
  std::string context;  // the field of the configuration that holds the longest sequence in tokens;
                        // "": none. A method's parameter `context` of 0 stands for that number, at
                        // most 2048: the planner puts it in its place before keys are made
  std::vector<std::string> precisions;  // values of run.precision that it can do; empty: all

  bool operator==(const FamilyDeclaration&) const = default;
};

// One file of a split: what it is to the reader, and where below the root.
struct ReaderFile {
  std::string role;  // "images"
  std::string path;

  bool operator==(const ReaderFile&) const = default;
};

struct ReaderDeclaration {
  std::string name;  // "fashion_mnist"
  std::string title;
  std::string task;
  std::vector<ParameterSchema>
      parameters;  // one named like a split ("train") enters the key of that split only
  std::vector<std::string> roots;  // usual places, the first that exists wins; `root:` overrides.
                                   // "$NAME/..." expands the environment
  std::map<std::string, std::vector<ReaderFile>>
      files;  // split -> files below the root; empty: the sweep names them
  std::vector<std::string>
      roles;            // roles a split must name where the sweep names files; empty: a list
  bool folder = false;  // a split is a folder: entered by the digest of its manifest

  bool operator==(const ReaderDeclaration&) const = default;
};

struct Catalogue {
  std::string provider;  // "assay"
  std::string version;
  Json numerics = Json::object();  // what joins the run's settings in the numerics class
  std::vector<std::string> files;  // absolute paths of all files that it is made of, if it says so:
                                   // its version covers their content
  bool inspects = false;           // answers `inspect` (docs/formats/protocol.md)
  std::vector<StageDeclaration> stages;
  std::vector<MethodDeclaration> methods;
  std::vector<MetricDeclaration> metrics;
  std::vector<FamilyDeclaration> families;
  std::vector<ReaderDeclaration> readers;

  bool operator==(const Catalogue&) const = default;

  const StageDeclaration* find_stage(std::string_view name) const;
  const MethodDeclaration* find_method(std::string_view name) const;
  const MetricDeclaration* find_metric(std::string_view name) const;
  const FamilyDeclaration* find_family(std::string_view name) const;
  const ReaderDeclaration* find_reader(std::string_view name) const;
};

// What several providers offer together, to look names up in; provider, version and numerics are
// those of the first. Throws Error(kConfig) if two offer a thing of one name.
Catalogue joined(const std::vector<Catalogue>& catalogues);

// Throws Error(kData) naming provider, record and field: an input whose stage no provider of the
// sweep offers, a stage that reads a parameter that the method or metric it serves does not have.
// `joined` is what they offer together; `one` is the catalogue to check.
void check_against(const Catalogue& joined, const Catalogue& one);

Json to_json(const Catalogue& catalogue);

// Throws Error(kData) naming the record and field that is missing, unknown, of a wrong type,
// duplicated, or refers to a stage that the catalogue lacks (inputs aside: check_against).
Catalogue catalogue_from(const Json& json);

}  // namespace assay
