#include "harness/formats/checkpoint_layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "harness/base/error.h"
#include "harness/formats/disk_files.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using Kind = FileView::Kind;

constexpr const char* kConfigName = "config.json";
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kIndexEnding = ".safetensors.index.json";
constexpr std::size_t kMaxShards = 10'000;

[[noreturn]] void refuse_checkpoint(ErrorKind kind, const fs::path& path,
                                    const std::string& problem) {
  throw Error(kind, fmt::format("{}: {}", path.string(), problem), {{"file", path.string()}});
}

bool is_other_container(const fs::path& name) {
  for (const char* extension : {".bin", ".pt", ".pth", ".tar", ".zip", ".npz", ".npy", ".gguf",
                                ".ckpt", ".h5", ".onnx", ".th", ".pkl"}) {
    if (name.extension() == extension) return true;
  }
  return false;
}

[[noreturn]] void refuse_container(const fs::path& path) {
  refuse_checkpoint(ErrorKind::kUnsupported, path,
                    "checkpoints are read from .safetensors files only; convert this one once "
                    "(docs/guides/networks.md, section Conversion)");
}

// A text of names, not too long.
std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 4;
  const std::size_t shown = std::min(names.size(), kShown);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + shown, ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

class Layout {
 public:
  Layout(fs::path path, FileView& view) : path_(std::move(path)), view_(view) {
    const Kind kind = view_.kind(path_);
    if (kind == Kind::kMissing) refuse_checkpoint(ErrorKind::kConfig, path_, "no such checkpoint");
    is_file_ = kind == Kind::kFile;
    folder_ = is_file_ ? path_.parent_path() : path_;
  }

  FileSet resolve(CheckpointParts parts) {
    const bool tokenizer_only = parts.tokenizer && !parts.network;
    if (is_file_ && tokenizer_only && is_tokenizer(path_)) {
      add_tokenizer_file();
    } else {
      if (parts.network) add_network();
      if (parts.tokenizer) add_tokenizer();
    }
    return FileSet(std::move(files_));
  }

 private:
  bool has(const std::string& name) { return view_.kind(folder_ / name) == Kind::kFile; }

  void add(const char* role, const std::string& name) {
    files_.push_back({.role = role, .name = name, .path = folder_ / name});
  }

  static bool is_tokenizer(const fs::path& path) {
    return path.extension() == ".model" || path.filename() == "tokenizer.json";
  }

  void add_network() {
    if (!is_file_) return add_folder();
    const std::string name = path_.filename().string();
    if (name.ends_with(kIndexEnding)) {
      add(kConfigRole, config_name());
      return add_shards(name);
    }
    if (is_other_container(path_)) refuse_container(path_);
    if (path_.extension() != ".safetensors") {
      refuse_checkpoint(ErrorKind::kData, path_, "is neither a folder nor a .safetensors file");
    }
    add(kConfigRole, config_name());
    add(kWeightsRole, name);
  }

  void add_folder() {
    add(kConfigRole, config_name());
    if (has(kIndexName)) {
      if (!has(kSingleName)) return add_shards(kIndexName);
      refuse_two_networks();
    }
    add(kWeightsRole, has(kSingleName) ? kSingleName : only_weights());
  }

  // Of NAME.safetensors its own NAME.json before config.json, which describes the folder.
  std::string config_name() {
    if (is_file_ && path_.extension() == ".safetensors") {
      const std::string own = path_.stem().string() + ".json";
      if (has(own)) return own;
      if (!has(kConfigName)) {
        refuse_checkpoint(
            ErrorKind::kData, path_,
            fmt::format("neither {} nor {} lies beside it to say what network it holds", own,
                        kConfigName));
      }
    }
    if (!has(kConfigName)) {
      refuse_checkpoint(
          ErrorKind::kData, folder_,
          fmt::format("has no {}; it stands beside the weights, as Hugging Face folders have it",
                      kConfigName));
    }
    return kConfigName;
  }

  std::vector<std::string> shards(const std::string& index) {
    const std::string what = (folder_ / index).string();
    std::vector<std::string> names;
    for (auto& [name, tensors] : shards_of_index(parse_json(view_.text(what), what), what)) {
      names.push_back(name);
    }
    return names;
  }

  void add_shards(const std::string& index) {
    add(kIndexRole, index);
    for (const std::string& name : shards(index)) {
      if (!has(name)) {
        refuse_checkpoint(ErrorKind::kData, folder_ / index,
                          fmt::format("names the shard '{}', which is not there", name));
      }
      add(kWeightsRole, name);
    }
  }

  // model.safetensors beside an index. Without the shards the index is a leftover.
  void refuse_two_networks() {
    std::vector<std::string> there;
    for (const std::string& name : shards(kIndexName)) {
      if (name != kSingleName && has(name)) there.push_back(name);
    }
    if (there.empty()) return;
    refuse_checkpoint(
        ErrorKind::kData, folder_,
        fmt::format("holds two networks: {0}, and {1} with {2}; name the one that is meant as "
                    "weights, '{3}' or '{4}', or move the other away",
                    kSingleName, kIndexName, listed(there), (folder_ / kSingleName).string(),
                    (folder_ / kIndexName).string()));
  }

  std::string only_weights() {
    std::vector<std::string> found;
    std::vector<std::string> others;
    for (const std::string& name : view_.files_in(folder_)) {
      if (name.ends_with(".safetensors")) found.push_back(name);
      if (is_other_container(name)) others.push_back(name);
    }
    if (found.size() == 1) return found[0];
    if (found.empty() && !others.empty()) refuse_container(folder_ / others[0]);
    refuse_checkpoint(ErrorKind::kData, folder_,
                      found.empty()
                          ? fmt::format("has neither {} nor {} nor another .safetensors file",
                                        kSingleName, kIndexName)
                          : fmt::format("holds {} .safetensors files; name one of them: {}",
                                        found.size(), listed(found)));
  }

  // One file of a tokenizer, with what belongs to it.
  void add_tokenizer_file() {
    add(kTokenizerRole, path_.filename().string());
    if (has("tokenizer_config.json")) add(kTokenizerRole, "tokenizer_config.json");
  }

  void add_tokenizer() {
    const std::size_t before = files_.size();
    for (const std::string& name : tokenizer_files()) {
      if (has(name)) add(kTokenizerRole, name);
    }
    if (files_.size() > before) return;
    if (takes_bytes()) return add(kTokenizerRole, config_name());
    refuse_checkpoint(
        ErrorKind::kConfig, folder_,
        fmt::format("no tokenizer; looked for {}, or vocab_size 256 in {} (ids are bytes)",
                    fmt::join(tokenizer_files(), ", "), kConfigName));
  }

  bool takes_bytes() {
    const bool own = is_file_ && has(path_.stem().string() + ".json");
    if (!own && !has(kConfigName)) return false;
    // Malformed text is no such model; whoever loads it says what is wrong.
    const Json json = Json::parse(view_.text(folder_ / config_name()), nullptr,
                                  /*allow_exceptions=*/false);
    return json.is_object() && json.value("vocab_size", Json()) == 256;
  }

  fs::path path_;
  FileView& view_;
  bool is_file_ = false;
  fs::path folder_;
  std::vector<InputFile> files_;
};

}  // namespace

const std::vector<std::string>& tokenizer_files() {
  static const std::vector<std::string> kNames = {"tokenizer.json",
                                                  "tokenizer.model",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "encoder.json",
                                                  "vocab.bpe",
                                                  "tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json"};
  return kNames;
}

FileSet checkpoint_layout(const fs::path& path, CheckpointParts parts, FileView& view) {
  return Layout(path, view).resolve(parts);
}

FileSet checkpoint_on_disk(const fs::path& path, CheckpointParts parts) {
  DiskFiles disk;
  return checkpoint_layout(path, parts, disk);
}

Json network_configuration(const Json& configuration, const std::string& weights,
                           const std::string& what) {
  if (!configuration.is_object() || !configuration.contains("models") ||
      !configuration["models"].is_object()) {
    return configuration;
  }
  const Json* found = nullptr;
  for (const Json& entry : configuration["models"]) {
    if (!entry.is_object() || entry.value("file", Json()) != weights) continue;
    if (found != nullptr) {
      refuse_checkpoint(
          ErrorKind::kData, what,
          fmt::format("describes the file '{}' twice in 'models'; keep one", weights));
    }
    found = &entry;
  }
  if (found != nullptr) {
    Json one = configuration;
    one.erase("models");
    for (const auto& field : found->items()) one[field.key()] = field.value();
    return one;
  }
  refuse_checkpoint(ErrorKind::kData, what,
                    fmt::format("describes several networks, but none with file '{}'", weights));
}

std::vector<std::pair<std::string, std::vector<std::string>>> shards_of_index(
    const Json& index, const std::string& what) {
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (!index.is_object() || map == index.end() || !map->is_object() || map->empty()) {
    refuse_checkpoint(ErrorKind::kData, what, "has no 'weight_map' of tensor names to shards");
  }
  std::map<std::string, std::vector<std::string>> shards;
  for (const auto& item : map->items()) {
    if (!item.value().is_string()) {
      refuse_checkpoint(ErrorKind::kData, what,
                        fmt::format("the shard of tensor '{}' is not a name", item.key()));
    }
    const auto name = item.value().get<std::string>();
    const fs::path shard(name);
    if (name.empty() || name.find('\0') != std::string::npos || shard.filename() != shard ||
        shard.extension() != ".safetensors") {
      refuse_checkpoint(
          ErrorKind::kData, what,
          fmt::format("the shard '{}' of tensor '{}' is not the plain name of a .safetensors "
                      "file in the same folder",
                      name, item.key()));
    }
    shards[name].push_back(item.key());
    if (shards.size() > kMaxShards) {
      refuse_checkpoint(ErrorKind::kData, what,
                        fmt::format("names more than {} shards", kMaxShards));
    }
  }
  return {shards.begin(), shards.end()};
}

}  // namespace assay
