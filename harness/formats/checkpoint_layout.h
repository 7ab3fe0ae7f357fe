#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"

// Which files make a checkpoint: the one place that decides, for the planner, for loaders, for
// trained checkpoints and for `assay describe --model`.

namespace assay {

// What the layout asks of a file system. Tests and the planner have their own.
class FileView {
 public:
  enum class Kind { kMissing, kFile, kFolder };

  virtual ~FileView() = default;

  // A file: regular, links followed.
  virtual Kind kind(const std::filesystem::path& path) = 0;
  // Names of the regular files of a folder, sorted.
  virtual std::vector<std::string> files_in(const std::filesystem::path& folder) = 0;
  // Content of a small file (an index of shards, a configuration). Throws Error(kIo).
  virtual std::string text(const std::filesystem::path& path) = 0;
};

// Roles of files.
inline constexpr const char* kConfigRole = "config";        // once; "NAME.json" or "config.json"
inline constexpr const char* kIndexRole = "index";          // of sharded weights
inline constexpr const char* kWeightsRole = "weights";      // *.safetensors
inline constexpr const char* kTokenizerRole = "tokenizer";  // every file that a form may read

// What is asked for. A stage that tokenizes reads no weights.
struct CheckpointParts {
  bool network = true;
  bool tokenizer = false;
};

// The files of the checkpoint at `path`, without digests, config first, shards by name:
//   a folder                 config.json and the first of: model.safetensors;
//                            model.safetensors.index.json and the shards that it names; the one
//                            *.safetensors file
//   NAME.safetensors         with NAME.json, else config.json, beside it
//   NAME.safetensors.index.json   config.json, the index and its shards
// The tokenizer's files lie in the same folder: those of kTokenizerFiles that are there;
// config.json if there is none of them and it says vocab_size 256 (ids are bytes). `path` may be
// one tokenizer.json or *.model file where the tokenizer alone is asked for.
//
// Throws Error(kConfig | kUnsupported) naming path, what was looked for and the mend: also where
// model.safetensors lies beside the shards of an index, since libraries differ in which of the two
// networks they take.
FileSet checkpoint_layout(const std::filesystem::path& path, CheckpointParts parts, FileView& view);

// The layout on disk, for files that no plan stands behind.
FileSet checkpoint_on_disk(const std::filesystem::path& path,
                           CheckpointParts parts = {.network = true, .tokenizer = false});

// Names of files that make or alter a tokenizer, in the order of the recipe.
const std::vector<std::string>& tokenizer_files();

// The configuration of the network in `weights` (a file name), where one file may describe several:
// {"models": {name: {"file": ..., fields}}, shared fields}. Throws Error(kData) naming `what`.
Json network_configuration(const Json& configuration, const std::string& weights,
                           const std::string& what);

// Names of the shards in an index, in order, and each tensor's. Throws Error(kData) naming `what`
// if it is malformed, has more than 10,000 shards or names one outside its folder.
std::vector<std::pair<std::string, std::vector<std::string>>> shards_of_index(
    const Json& index, const std::string& what);

}  // namespace assay
