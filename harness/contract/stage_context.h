#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"

namespace assay {

class InputWatch;

// What the body of a stage is given. The executor implements it over the protocol; tests fake it.
// Used by one thread, the executor's.
//
//   Json quantize(StageContext& context) {
//     const std::filesystem::path images = context.input("images");   // declared as an input
//     for (std::int64_t i = 0; i < layers; ++i) {
//       if (context.stop_requested()) throw Error(ErrorKind::kLost, "stopped");
//       ...
//       context.progress(i + 1, layers, "layers");
//     }
//     write_safetensors(context.output() / "model.safetensors", tensors);
//     return {{"metrics", {{"bits_per_weight", bits}}}};
//   }
class StageContext {
 public:
  virtual ~StageContext() = default;

  // The keyed recipe: "parameters" (every name in the declaration's `reads`), and where the
  // declaration asks for them "model" {family, config or files [{role, name, digest}]}, "data"
  // {reader, parameters, split, files}, "seed", "shard" [index, count], "numerics" {device,
  // threads, ...}.
  virtual const Json& recipe() const = 0;

  // Where the files of the recipe lie: "model" {path, files: [{role, name, path, identity}]},
  // "data" {files}. Never part of a key. Stages take both from harness/contract/stage_files.h.
  virtual const Json& locations() const = 0;

  // Where input files that stay open are made known, so that one that changes while the stage runs
  // is found; null: nobody looks.
  virtual std::shared_ptr<InputWatch> watch() const { return nullptr; }

  // Artifact of an input: a folder, or a single result .json file. Throws Error(kConfig) for an
  // undeclared name. What the methods before this one made stands in the inputs "network.0" (the
  // first), "network.1", ... and "network" (the last); with one method before it only "network".
  virtual std::filesystem::path input(std::string_view name) const = 0;
  virtual bool has_input(std::string_view name) const = 0;

  // Folder for what the stage makes; created by the first call. A stage without files never calls
  // it.
  virtual std::filesystem::path output() = 0;

  // Folder that outlives the attempt until the stage publishes: put checkpoints there by atomic
  // rename, look for one before starting, then tell with checkpoint().
  virtual std::filesystem::path resume_dir() = 0;
  virtual void checkpoint(std::int64_t step) = 0;

  // At most two a second reach the supervisor, so it may be called in inner loops.
  virtual void progress(std::int64_t done, std::int64_t total, std::string_view unit) = 0;
  virtual void metric(std::string_view name, double value, std::int64_t step) = 0;

  // True once the supervisor asked for an early end: write a checkpoint and throw Error(kLost).
  virtual bool stop_requested() const = 0;

  // A value kept between stages of this executor (a loaded model, a data set), least recently used
  // first out. `key` must name everything that the value depends on.
  virtual std::shared_ptr<void> resident(const std::string& key,
                                         const std::function<std::shared_ptr<void>()>& make) = 0;
};

// Runs one stage and returns its result: {"metrics": {name: number}, "fingerprint": {...}, "note":
// ...}; goes into result.json. Throws Error; anything else that is thrown counts as
// ErrorKind::kMethod.
using StageBody = std::function<Json(StageContext&)>;

struct StageImplementation {
  StageDeclaration declaration;
  StageBody body;
};

}  // namespace assay
