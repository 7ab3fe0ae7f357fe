#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/bits.h"
#include "harness/contract/catalogue.h"
#include "harness/spec/place.h"
#include "harness/spec/run_settings.h"

// A sweep file as values: docs/formats/sweep.md describes the file.

namespace assay::spec {

struct Node;

// An entry of `models:`. Either `weights` or `config` is given.
struct Model {
  std::string name;
  std::string family;
  std::string task;               // of its family
  std::filesystem::path weights;  // absolute; a folder or a .safetensors file; empty: `config`
  Json config;                    // resolved by the family's configuration; null: `weights`
  std::string data;               // entry of `data:`, or ""
  Place place;
};

struct DataFile {
  std::string role;            // "" in a plain list
  std::filesystem::path path;  // absolute
};

// An entry of `data:`.
struct DataSet {
  std::string name;
  std::string reader;
  std::string task;            // of its reader
  std::filesystem::path root;  // absolute; empty: the reader's usual places
  Json parameters = Json::object();
  std::map<std::string, std::vector<DataFile>> splits;  // where the sweep names the files
  Place place;
};

// An entry of `providers:`: a program that speaks the executor protocol. A word of the command that
// names a file is an absolute path.
struct Provider {
  std::vector<std::string> command;
  Place place;
};

// A method with all parameters that its trial reads. Trials share them: Sweep::steps holds each
// once.
struct MethodStep {
  std::string method;
  Json parameters;   // resolved and canonical; of a trial's step, those that it reads
  std::string text;  // canonical_json of {"name", "parameters"}
};

// That a trial is one row of an ablation table.
struct AblationTag {
  std::string ablation;  // name of the ablation: "ablate" unless it has one
  std::string variant;   // "base", "without swing", "only swing", "images = 8"

  bool operator==(const AblationTag&) const = default;
};

// A point of the sweep. What its method does not read is unset: such points are one trial.
struct Trial {
  std::uint32_t model = 0;           // index into Sweep::models
  std::vector<std::uint32_t> steps;  // indices into Sweep::steps, applied left to right
  std::optional<Bits> bits;          // nothing: the method reads none
  std::optional<std::int64_t> seed;
  std::optional<std::int64_t> calibration_seed;
  int calibration_data = -1;  // index into Sweep::data; -1: the method reads no data
  std::uint32_t points = 0;  // of the sweep that are this trial: they differ in what it never reads
  std::vector<AblationTag> ablations;
  Place place;  // of its method, where the sweep says it first
};

// One metric setting of `evaluate:`; an entry with a list of values became several.
struct Evaluation {
  std::string metric;
  std::string split = "test";
  std::string data;                  // "": the model's own
  std::vector<std::string> models;   // empty: all
  std::vector<std::string> methods;  // method expressions or method names; empty: all
  Json parameters = Json::object();  // resolved
  Place place;
};

// A model and a method that is not for its family, left out by `run: {impossible: skip}`.
struct SkippedPair {
  std::string model;
  std::string method;
  std::string reason;
};

struct Sweep {
  std::string name;
  std::vector<Model> models;
  std::vector<DataSet> data;
  std::vector<Provider> providers;
  std::vector<MethodStep> steps;
  std::vector<Trial> trials;  // distinct, in order of first appearance
  std::vector<SkippedPair> skipped;
  std::vector<Evaluation> evaluations;
  RunSettings run;
  Place run_place;       // of `run:`, or of the whole sweep
  std::vector<std::string> notes;  // what is legal, and perhaps not meant
  std::shared_ptr<const Node> document;  // as run: includes and overrides applied, paths absolute

  const Model* find_model(std::string_view name) const;
  const DataSet* find_data(std::string_view name) const;
};

// A sweep file that was read, once: `providers:` must be known before there is a catalogue, and the
// rest must be of the same text. `overrides`: "a.b=c" of --set. Throws Error(kConfig) with
// file:line:column, the value and the nearest legal name; nothing else is thrown for bad input.
class SweepFile {
 public:
  SweepFile(std::filesystem::path file, const std::vector<std::string>& overrides);
  ~SweepFile();
  SweepFile(const SweepFile&) = delete;
  SweepFile& operator=(const SweepFile&) = delete;

  std::vector<Provider> providers() const;
  Sweep sweep(const Catalogue& catalogue) const;

 private:
  std::filesystem::path file_;
  std::unique_ptr<const Node> root_;
};

// SweepFile(file, overrides).sweep(catalogue)
Sweep load_sweep(const std::filesystem::path& file, const std::vector<std::string>& overrides,
                 const Catalogue& catalogue);

// The sweep's document as YAML, which loads as the same sweep.
std::string resolved_text(const Sweep& sweep);
// "smoothquant + gptq"
std::string method_text(const Sweep& sweep, const Trial& trial);
// "W4A8", or ""
std::string bits_text(const Trial& trial);
// {"model", "method": [{"name", "parameters"}], and where they are read "bits", "seed",
// "calibration_seed", "calibration_data"}
Json identity_of(const Sweep& sweep, const Trial& trial);
// canonical_json of it, with "content": the canonical text of the digests behind the names, unless
// it is "". A trial's id is the first digits of the SHA-256 of such a text.
std::string identity_text(const Sweep& sweep, const Trial& trial, const std::string& content = "");
inline constexpr std::size_t kIdDigits = 16;

// The data that an evaluation of this trial reads: index into Sweep::data, -1 for none.
int data_of(const Sweep& sweep, const Trial& trial, const Evaluation& evaluation);
// Why this evaluation does not apply to the trial ("" if it does).
std::string mismatch(const Sweep& sweep, const Trial& trial, const Evaluation& evaluation,
                     const Catalogue& catalogue);

}  // namespace assay::spec
