#include "harness/models/parameter_table.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/models/tensor_file.h"

namespace assay::models {
namespace {

// Of all tables of this process; LibTorch's allocator is as global.
struct KeptWeights {
  std::int64_t limit_bytes = kDefaultKeptWeights;
  std::int64_t bytes = 0;
  std::uint64_t clock = 0;
  std::set<const ParameterTable*> tables;  // with deferred parameters
};

KeptWeights& kept() {
  static auto* const all = new KeptWeights;  // outlives networks that are static
  return *all;
}

at::Tensor without_values(const at::Tensor& like, at::ScalarType type) {
  return at::empty(like.sizes(), at::TensorOptions().dtype(type).device(at::kMeta));
}

}  // namespace

void limit_kept_weights(std::int64_t bytes) { kept().limit_bytes = bytes; }

ParameterTable::~ParameterTable() {
  for (const auto& [name, deferred] : deferred_) kept().bytes -= deferred.kept_bytes;
  kept().tables.erase(this);
}

void ParameterTable::add(const std::string& name, at::Tensor* slot) { slots_.emplace(name, slot); }

at::Tensor* ParameterTable::slot(const std::string& name) const {
  const auto found = slots_.find(name);
  if (found != slots_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& item : slots_) names.push_back(item.first);
  const std::string close = nearest(name, names);
  throw Error(ErrorKind::kData,
              fmt::format("the network has no tensor '{}'{}", name,
                          close.empty() ? "" : "; did you mean '" + close + "'?"),
              {{"tensor", name}});
}

at::Tensor& ParameterTable::at(const std::string& name) const {
  at::Tensor* const target = slot(name);
  const auto found = deferred_.find(name);
  if (found != deferred_.end()) {
    if (!found->second.made) make(name, found->second);
    kept().bytes -= found->second.kept_bytes;
    deferred_.erase(found);
  }
  return *target;
}

at::Tensor ParameterTable::value(const std::string& name) const {
  const at::Tensor* const target = slot(name);
  const auto found = deferred_.find(name);
  if (found == deferred_.end() || found->second.made) return *target;
  make(name, found->second);
  at::Tensor value = *target;
  drop(name, found->second);
  return value;
}

const at::Tensor& ParameterTable::shape(const std::string& name) const { return *slot(name); }

const std::map<std::string, at::Tensor*>& ParameterTable::slots() const {
  while (!deferred_.empty()) at(std::string(deferred_.begin()->first));
  return slots_;
}

void ParameterTable::allow_deferring(const std::vector<std::string>& names) {
  deferrable_.insert(names.begin(), names.end());
}

void ParameterTable::defer(const std::string& name, at::ScalarType type, Make make_value) {
  at::Tensor* const target = slot(name);
  Deferred& deferred = deferred_[name];
  kept().tables.insert(this);
  kept().bytes -= deferred.kept_bytes;
  deferred = {.make = std::move(make_value)};
  for (const Names* names : held_) {
    deferred.holds += static_cast<int>(std::count(names->begin(), names->end(), name));
  }
  *target = without_values(*target, type);
  if (deferred.holds > 0) make(name, deferred);
}

void ParameterTable::update(const std::string& name, at::ScalarType type, Change change) {
  const auto found = deferred_.find(name);
  if (found == deferred_.end()) {
    at::Tensor* const target = slot(name);
    *target = change(*target);
    return;
  }
  defer(name, type, [make = found->second.make, change = std::move(change)] {
    const at::Tensor before = make();
    at::Tensor after = change(before);
    if (!after.is_alias_of(before)) drop_pages(before);
    return after;
  });
}

void ParameterTable::make(const std::string& name, Deferred& deferred) const {
  const c10::InferenceMode usual(false);  // a later pass may record gradients
  const at::NoGradGuard no_gradients;
  at::Tensor value = deferred.make();
  if (!is_aligned(value)) {
    const at::Tensor copy = value.clone();  // products have other bits for misaligned rows
    drop_pages(value);
    value = copy;
  }
  *slot(name) = std::move(value);
  deferred.made = true;
}

void ParameterTable::drop(const std::string& name, Deferred& deferred) const {
  at::Tensor* const target = slot(name);
  drop_pages(*target);
  *target = without_values(*target, target->scalar_type());
  kept().bytes -= std::exchange(deferred.kept_bytes, 0);
  deferred.made = false;
}

// Drops the kept weight of another table that was used least recently; false if there is none.
bool ParameterTable::drop_least_recent(const ParameterTable& wanting) {
  const ParameterTable* owner = nullptr;
  std::pair<const std::string, Deferred>* oldest = nullptr;
  for (const ParameterTable* table : kept().tables) {
    if (table == &wanting) continue;
    for (auto& each : table->deferred_) {
      if (each.second.kept_bytes == 0 || each.second.holds > 0) continue;
      if (oldest == nullptr || each.second.last_use < oldest->second.last_use) {
        owner = table;
        oldest = &each;
      }
    }
  }
  if (oldest == nullptr) return false;
  owner->drop(oldest->first, oldest->second);
  return true;
}

void ParameterTable::keep_or_drop(const std::string& name, Deferred& deferred) const {
  deferred.last_use = ++kept().clock;
  if (deferred.kept_bytes > 0) return;
  // A network that does not fit keeps its first weights: dropping those that were used longest ago
  // would drop each just before it is needed again.
  const auto bytes = static_cast<std::int64_t>(slot(name)->nbytes());
  while (bytes <= kept().limit_bytes && kept().bytes + bytes > kept().limit_bytes) {
    if (!drop_least_recent(*this)) break;
  }
  if (kept().bytes + bytes > kept().limit_bytes) return drop(name, deferred);
  deferred.kept_bytes = bytes;
  kept().bytes += bytes;
}

void ParameterTable::hold(const Names& names) const {
  held_.push_back(&names);
  if (deferred_.empty()) return;
  std::size_t count = 0;
  try {
    for (const std::string& name : names) {
      ++count;
      const auto found = deferred_.find(name);
      if (found == deferred_.end()) continue;
      ++found->second.holds;
      if (!found->second.made) make(name, found->second);
    }
  } catch (...) {
    release(names, count, true);
    throw;
  }
}

void ParameterTable::release(const Names& names, std::size_t count, bool last_use) const {
  held_.erase(std::find(held_.begin(), held_.end(), &names));
  if (deferred_.empty()) return;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = deferred_.find(names[i]);
    if (found == deferred_.end() || --found->second.holds > 0) continue;
    if (!found->second.made) continue;
    if (last_use) {
      drop(names[i], found->second);
    } else {
      keep_or_drop(names[i], found->second);
    }
  }
}

WeightHold::WeightHold(const ParameterTable& table, const std::vector<std::string>& names,
                       bool last_use)
    : table_(&table), names_(&names), last_use_(last_use) {
  table.hold(names);
}

WeightHold::~WeightHold() {
  if (table_ != nullptr) table_->release(*names_, names_->size(), last_use_);
}

}  // namespace assay::models
