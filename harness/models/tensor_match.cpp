#include "harness/models/tensor_match.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "harness/base/error.h"
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

// Without the prefix of a data-parallel wrapper.
std::string bare_name(const std::string& name) {
  return name.starts_with("module.") ? name.substr(7) : name;
}

bool equal_bytes(std::span<const std::byte> a, std::span<const std::byte> b, TieCheck tie) {
  if (a.size() != b.size()) return false;
  constexpr std::size_t kBlock = std::size_t{64} << 10;
  constexpr std::size_t kBlocks = 16;
  if (tie == TieCheck::kWhole || a.size() <= kBlock * kBlocks)
    return std::equal(a.begin(), a.end(), b.begin());
  const std::size_t step = (a.size() - kBlock) / (kBlocks - 1);
  for (std::size_t i = 0; i < kBlocks; ++i) {
    const auto first = a.subspan(i * step, kBlock), second = b.subspan(i * step, kBlock);
    if (!std::equal(first.begin(), first.end(), second.begin())) return false;
  }
  return true;
}

class Matcher {
 public:
  Matcher(const Network& network, const Family& family, const CheckpointFiles& files, TieCheck tie)
      : network_(network), family_(family), files_(files), tie_(tie) {
    for (const auto& item : files_.tensors) names_.insert(bare_name(item.first));
  }

  TensorMatch run() {
    for (const auto& [name, file] : files_.tensors) {
      if (const auto slot_name = slot_of(name))
        assign(*slot_name, name, file->at(name));
      else if (!is_known_buffer(name) && !is_tied_head(name))
        match_.unexpected.push_back(name);
    }
    for (const ParameterTable* table : {&network_.parameters(), &network_.buffers()})
      for (const auto& item : table->slots())
        if (!match_.sources.contains(item.first)) match_.missing.push_back(item.first);
    match_.mend = mend();
    return std::move(match_);
  }

 private:
  bool has_slot(const std::string& name) const {
    return network_.parameters().contains(name) || network_.buffers().contains(name);
  }

  // With and without the prefixes that libraries put around a network, then the family's own names.
  std::optional<std::string> slot_of(const std::string& name) const {
    const std::string bare = bare_name(name);
    std::vector<std::string> candidates{bare, "model." + bare, "transformer." + bare};
    for (const std::string_view prefix : {"model.", "transformer."})
      if (bare.starts_with(prefix)) candidates.push_back(bare.substr(prefix.size()));
    for (const std::string& candidate : candidates) {
      const std::string known = family_.rename(candidate, names_);
      if (has_slot(known)) return known;
    }
    return std::nullopt;
  }

  void assign(const std::string& slot_name, const std::string& name, const TensorEntry& entry) {
    const at::Tensor& target = network_.parameters().contains(slot_name)
                                   ? network_.parameters().at(slot_name)
                                   : network_.buffers().at(slot_name);
    const auto [first, fresh] = match_.sources.emplace(slot_name, name);
    if (!fresh) {
      match_.misfits.push_back(
          fmt::format("'{}' and '{}' are the same tensor", first->second, name));
    } else if (entry.shape != target.sizes().vec()) {
      match_.misfits.push_back(fmt::format("'{}' is [{}], not [{}]", name,
                                           fmt::join(entry.shape, ", "),
                                           fmt::join(target.sizes(), ", ")));
    } else if (!at::isFloatingType(scalar_type_of(entry.dtype))) {
      match_.misfits.push_back(
          fmt::format("'{}' is {}, not a floating dtype (F32, F64, F16, BF16)", name, entry.dtype));
    }
  }

  // Libraries may store the head beside the embedding that it is tied to. A network whose head has
  // a slot of its own ties nothing.
  bool is_tied_head(const std::string& name) {
    if (!name.ends_with("lm_head.weight") || network_.info().task != Task::kLanguage ||
        has_slot("lm_head.weight"))
      return false;
    for (const char* embedding : {"embed_tokens.weight", "wte.weight"})
      for (const auto& [other, file] : files_.tensors) {
        if (!other.ends_with(embedding)) continue;
        if (!equal_bytes(file->at(other).bytes, files_.tensors.at(name)->at(name).bytes, tie_))
          match_.misfits.push_back(
              fmt::format("'{}' differs from '{}', though config.json ties them "
                          "(tie_word_embeddings is true; write false if the head is its own)",
                          name, other));
        return true;
      }
    return false;
  }

  // The mend where one cause explains what does not fit.
  std::string mend() const {
    if (match_.fits()) return "";
    if (const std::string prefix = unknown_prefix(); !prefix.empty())
      return fmt::format(
          "every name begins with '{}', which a wrapper has put there: save the network inside it, "
          "or take the prefix off the names",
          prefix);
    if (match_.missing == std::vector<std::string>{"lm_head.weight"} && match_.unexpected.empty())
      return "the head is absent: write \"tie_word_embeddings\": true in config.json if it is the "
             "token embedding, or save it with the weights";
    return "take the config.json that was saved with these weights, or correct its fields";
  }

  // The text up to the first dot that stands before every unexpected name and hides a slot.
  std::string unknown_prefix() const {
    if (match_.unexpected.empty()) return "";
    const std::string& first = match_.unexpected.front();
    const std::string prefix = first.substr(0, first.find('.') + 1);
    if (prefix.empty()) return "";
    std::size_t hidden = 0;
    for (const std::string& name : match_.unexpected) {
      if (!name.starts_with(prefix)) return "";
      if (slot_of(name.substr(prefix.size()))) ++hidden;
    }
    return 2 * hidden > match_.unexpected.size() ? prefix : "";
  }

  const Network& network_;
  const Family& family_;
  const CheckpointFiles& files_;
  const TieCheck tie_;
  std::set<std::string> names_;  // of the checkpoint
  TensorMatch match_;
};

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 8;
  const std::vector<std::string> shown(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kShown)));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (names.size() > kShown) text += fmt::format(" and {} more", names.size() - kShown);
  return text;
}

}  // namespace

TensorMatch match_tensors(const Network& network, const Family& family,
                          const CheckpointFiles& files, TieCheck tie) {
  return Matcher(network, family, files, tie).run();
}

void require_fit(const TensorMatch& match, const Network& network, const CheckpointFiles& files) {
  if (match.fits()) return;
  std::string text;
  const auto add = [&](const char* kind, const std::vector<std::string>& names) {
    if (!names.empty()) text += fmt::format("; {} {}: {}", names.size(), kind, listed(names));
  };
  add("missing", match.missing);
  add("unexpected", match.unexpected);
  add("that do not fit", match.misfits);
  throw Error(ErrorKind::kData,
              fmt::format("{}: the tensors are not those of the '{}' network that its "
                          "configuration describes{}; {}",
                          files.what, network.info().family, text, match.mend),
              {{"file", files.what}});
}

}  // namespace assay::models
