#include "harness/models/checkpoint_files.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/formats/input_watch.h"

namespace assay::models {
namespace {

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

[[noreturn]] void fail(const std::string& what, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", what, problem), {{"file", what}});
}

Json read_json(const InputFile& file) {
  return parse_json(read_input(file, kMaxConfigBytes), file.path.string());
}

void add_file(const FileSet& files, const InputFile& file, CheckpointFiles& into) {
  const std::shared_ptr<const SafetensorsFile> opened = map_input(files, file);
  for (const auto& item : opened->tensors()) {
    if (!into.tensors.emplace(item.first, opened).second) {
      fail(file.path.string(), fmt::format("tensor '{}' lies in another shard too", item.first));
    }
  }
}

// Every tensor of the index lies where it says, and the index names each file that was opened.
void check_index(const InputFile& index, const FileSet& files, const CheckpointFiles& opened) {
  const std::string what = index.path.string();
  const auto shards = shards_of_index(read_json(index), what);
  if (shards.size() != files.of_role(kWeightsRole).size()) {
    fail(what, "names other shards than the recipe");
  }
  for (const auto& [name, tensors] : shards) {
    const InputFile* shard = files.find(kWeightsRole, name);
    if (shard == nullptr) fail(what, fmt::format("the recipe does not name the shard '{}'", name));
    for (const std::string& tensor : tensors) {
      const auto found = opened.tensors.find(tensor);
      if (found == opened.tensors.end() || found->second->path() != shard->path) {
        fail(what, fmt::format("tensor '{}' does not lie in its shard '{}'", tensor, name));
      }
    }
  }
}

}  // namespace

CheckpointFiles open_checkpoint(const FileSet& files) {
  const InputFile* config = files.first(kConfigRole);
  const InputFile* weights = files.first(kWeightsRole);
  if (config == nullptr || weights == nullptr) {
    throw Error(ErrorKind::kConfig, "the files of the checkpoint lack a configuration or weights");
  }
  const InputFile* index = files.first(kIndexRole);
  CheckpointFiles opened;
  opened.what = (index != nullptr ? weights->path.parent_path() : weights->path).string();
  opened.configuration =
      network_configuration(read_json(*config), weights->name, config->path.string());
  for (const InputFile* file : files.of_role(kWeightsRole)) add_file(files, *file, opened);
  if (index != nullptr) check_index(*index, files, opened);
  return opened;
}

}  // namespace assay::models
