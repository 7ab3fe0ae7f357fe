#include "harness/models/checkpoint_files.h"

#include <fmt/format.h>

#include <vector>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"

namespace assay::models {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfigName = "config.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;
constexpr std::size_t kMaxShards = 10'000;

[[noreturn]] void fail(const fs::path& path, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), problem),
              {{"file", path.string()}});
}

[[noreturn]] void refuse_container(const fs::path& path) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{}: checkpoints are read from .safetensors files only; convert this one "
                          "once (docs/guides/networks.md, section Conversion)",
                          path.string()),
              {{"file", path.string()}});
}

bool is_other_container(const fs::path& path) {
  for (const char* extension : {".bin", ".pt", ".pth", ".tar", ".zip", ".npz", ".npy", ".gguf",
                                ".ckpt", ".h5", ".onnx", ".th", ".pkl"})
    if (path.extension() == extension) return true;
  return false;
}

Json read_json(const fs::path& path) {
  return parse_json(read_file(path, kMaxConfigBytes), path.string());
}

void add_file(const fs::path& path, CheckpointFiles& files) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  for (const auto& item : file->tensors())
    if (!files.tensors.emplace(item.first, file).second)
      fail(path, fmt::format("tensor '{}' lies in another shard too", item.first));
}

// Shards named by an index from outside: plain names of files in the same folder.
void add_shards(const fs::path& folder, CheckpointFiles& files) {
  const fs::path index_path = folder / kIndexName;
  const Json index = read_json(index_path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object() ||
      index["weight_map"].empty())
    fail(index_path, "has no 'weight_map' of tensor names to shards");
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& item : index["weight_map"].items()) {
    if (!item.value().is_string())
      fail(index_path, fmt::format("the shard of tensor '{}' is not a name", item.key()));
    const auto name = item.value().get<std::string>();
    const fs::path shard(name);
    if (name.empty() || name.find('\0') != std::string::npos || shard.filename() != shard ||
        shard.extension() != ".safetensors")
      fail(index_path, fmt::format("the shard '{}' of tensor '{}' is not the plain name of a "
                                   ".safetensors file in the same folder",
                                   name, item.key()));
    shards[name].push_back(item.key());
  }
  if (shards.size() > kMaxShards)
    fail(index_path, fmt::format("names {} shards, more than {}", shards.size(), kMaxShards));
  for (const auto& [name, tensors] : shards) {
    if (!fs::is_regular_file(folder / name))
      fail(index_path, fmt::format("the shard '{}' does not exist", name));
    add_file(folder / name, files);
    for (const std::string& tensor : tensors)
      if (!files.tensors.contains(tensor) || files.tensors[tensor]->path() != folder / name)
        fail(index_path, fmt::format("tensor '{}' does not lie in its shard '{}'", tensor, name));
  }
}

// The entry of `file` in a configuration of several networks, with what they share.
Json one_of(const Json& all, const fs::path& config_path, const fs::path& file) {
  for (const auto& item : all["models"].items()) {
    const Json& entry = item.value();
    if (!entry.is_object() || entry.value("file", Json()) != file.filename().string()) continue;
    Json one = all;
    one.erase("models");
    for (const auto& field : entry.items()) one[field.key()] = field.value();
    return one;
  }
  fail(config_path, fmt::format("describes several networks, but none with file '{}'",
                                file.filename().string()));
}

Json configuration_of_file(const fs::path& file) {
  const fs::path own = fs::path(file).replace_extension(".json");
  const fs::path path = fs::exists(own) ? own : file.parent_path() / kConfigName;
  if (!fs::exists(path))
    fail(file, fmt::format("neither {} nor {} lies beside it to say what network it holds",
                           own.filename().string(), kConfigName));
  const Json json = read_json(path);
  return json.is_object() && json.contains("models") && json["models"].is_object()
             ? one_of(json, path, file)
             : json;
}

void open_folder(const fs::path& folder, CheckpointFiles& files) {
  if (!fs::exists(folder / kConfigName)) fail(folder, "has no config.json");
  files.configuration = read_json(folder / kConfigName);
  if (fs::exists(folder / kSingleName)) return add_file(folder / kSingleName, files);
  if (fs::exists(folder / kIndexName)) return add_shards(folder, files);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (is_other_container(entry.path())) refuse_container(entry.path());
    if (entry.path().extension() == ".safetensors") names.push_back(entry.path().filename());
  }
  if (names.size() == 1) return add_file(folder / names[0], files);
  fail(folder, names.empty()
                   ? fmt::format("has neither {} nor {}", kSingleName, kIndexName)
                   : fmt::format("holds {} .safetensors files; name one of them", names.size()));
}

}  // namespace

CheckpointFiles open_checkpoint(const fs::path& path) {
  CheckpointFiles files;
  files.what = path.string();
  if (fs::is_directory(path)) {
    open_folder(path, files);
    return files;
  }
  if (is_other_container(path)) refuse_container(path);
  if (!fs::exists(path))
    throw Error(ErrorKind::kIo, fmt::format("{}: no such checkpoint", path.string()),
                {{"file", path.string()}});
  if (path.extension() != ".safetensors") fail(path, "is neither a folder nor a .safetensors file");
  files.configuration = configuration_of_file(path);
  add_file(path, files);
  return files;
}

}  // namespace assay::models
