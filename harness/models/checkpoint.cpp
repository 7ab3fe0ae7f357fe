#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/models/checkpoint_files.h"
#include "harness/models/family.h"
#include "harness/models/tensor_file.h"

namespace assay::models {
namespace {

// Buffers that other libraries store and that we compute.
bool is_known_buffer(std::string_view name) {
  for (const std::string_view ending : {"num_batches_tracked", "rotary_emb.inv_freq", "attn.bias",
                                        "attn.masked_bias", "relative_position_index", "attn_mask"})
    if (name.ends_with(ending)) return true;
  return false;
}

// Fills the slots of a network from the tensors of a checkpoint, collecting every mismatch.
class Filling {
 public:
  Filling(Network& network, const Family& family, const CheckpointFiles& files)
      : network_(network), family_(family), files_(files) {
    for (const auto& item : files_.tensors) names_.insert(bare_name(item.first));
  }

  void run() {
    for (const auto& [name, file] : files_.tensors) {
      if (const auto slot_name = slot_of(name))
        fill(*slot_name, name, file);
      else if (!is_known_buffer(name) && !is_tied_head(name))
        unexpected_.push_back(name);
    }
    for (const ParameterTable* table : {&network_.parameters(), &network_.buffers()})
      for (const auto& item : table->slots())
        if (!filled_.contains(item.first)) missing_.push_back(item.first);
    report();
    unify();
  }

 private:
  // Without the prefix of a data-parallel wrapper.
  static std::string bare_name(const std::string& name) {
    return name.starts_with("module.") ? name.substr(7) : name;
  }

  // With and without the prefixes that libraries put around a network, then the family's own names.
  std::optional<std::string> slot_of(const std::string& name) const {
    const std::string bare = bare_name(name);
    std::vector<std::string> candidates{bare, "model." + bare, "transformer." + bare};
    for (const std::string_view prefix : {"model.", "transformer."})
      if (bare.starts_with(prefix)) candidates.push_back(bare.substr(prefix.size()));
    for (const std::string& candidate : candidates) {
      const std::string known = family_.rename(candidate, names_);
      if (network_.parameters().contains(known) || network_.buffers().contains(known)) return known;
    }
    return std::nullopt;
  }

  at::Tensor& slot(const std::string& name) const {
    return network_.parameters().contains(name) ? network_.parameters().at(name)
                                                : network_.buffers().at(name);
  }

  void fill(const std::string& slot_name, const std::string& name,
            const std::shared_ptr<const SafetensorsFile>& file) {
    const TensorEntry& entry = file->at(name);
    at::Tensor& target = slot(slot_name);
    if (!filled_.emplace(slot_name, name).second) {
      misfits_.push_back(
          fmt::format("'{}' and '{}' are the same tensor", filled_[slot_name], name));
    } else if (entry.shape != target.sizes().vec()) {
      misfits_.push_back(fmt::format("'{}' is [{}], not [{}]", name, fmt::join(entry.shape, ", "),
                                     fmt::join(target.sizes(), ", ")));
    } else if (!at::isFloatingType(scalar_type_of(entry.dtype))) {
      misfits_.push_back(
          fmt::format("'{}' is {}, not a floating dtype (F32, F64, F16, BF16)", name, entry.dtype));
    } else {
      target = tensor_of(file, name);
    }
  }

  // Libraries may store the head beside the embedding that it is tied to.
  bool is_tied_head(const std::string& name) {
    if (!name.ends_with("lm_head.weight") || network_.info().task != Task::kLanguage) return false;
    for (const char* embedding : {"embed_tokens.weight", "wte.weight"})
      for (const auto& [other, file] : files_.tensors) {
        if (!other.ends_with(embedding)) continue;
        const auto a = file->at(other).bytes;
        const auto b = files_.tensors.at(name)->at(name).bytes;
        if (a.size() != b.size() || !std::equal(a.begin(), a.end(), b.begin()))
          misfits_.push_back(fmt::format(
              "'{}' differs from '{}', though config.json ties them (tie_word_embeddings)", name,
              other));
        return true;
      }
    return false;
  }

  static std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t kShown = 8;
    const std::vector<std::string> shown(
        names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kShown)));
    std::string text = fmt::format("{}", fmt::join(shown, ", "));
    if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
    return text;
  }

  void report() const {
    std::string text;
    const auto add = [&](const char* kind, const std::vector<std::string>& names) {
      if (!names.empty()) text += fmt::format("; {} {}: {}", names.size(), kind, listed(names));
    };
    add("missing", missing_);
    add("unexpected", unexpected_);
    add("that do not fit", misfits_);
    if (text.empty()) return;
    throw Error(ErrorKind::kData,
                fmt::format("{}: the tensors are not those of the '{}' network that its "
                            "configuration describes{}",
                            files_.what, network_.info().family, text),
                {{"file", files_.what}});
  }

  // One dtype for all: the widest that occurs.
  void unify() {
    std::optional<at::ScalarType> type;
    bool mixed = false;
    for (const ParameterTable* table : {&network_.parameters(), &network_.buffers()})
      for (const auto& item : table->slots()) {
        const at::ScalarType own = item.second->scalar_type();
        mixed = mixed || (type && *type != own);
        type = type ? at::promote_types(*type, own) : own;
      }
    if (mixed) network_.to(*type);
  }

  Network& network_;
  const Family& family_;
  const CheckpointFiles& files_;
  std::set<std::string> names_;                // of the checkpoint
  std::map<std::string, std::string> filled_;  // slot -> name in the file
  std::vector<std::string> missing_, unexpected_, misfits_;
};

}  // namespace

std::unique_ptr<Network> load_network(const FileSet& checkpoint, const std::string& family) {
  const CheckpointFiles files = open_checkpoint(checkpoint);
  const Family& record = find_family(family.empty() ? family_of(files.configuration) : family);
  std::unique_ptr<Network> network = record.make(files.configuration, /*allocate=*/false);
  Filling(*network, record, files).run();
  return network;
}

void save_network(const Network& network, const std::filesystem::path& folder) {
  TensorMap tensors;
  for (const ParameterTable* table : {&network.parameters(), &network.buffers()})
    for (const auto& [name, slot] : table->slots()) tensors.emplace(name, *slot);
  save_tensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(folder / "config.json", network.configuration().dump(2) + "\n");
}

}  // namespace assay::models
