#include "harness/models/network.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"

namespace assay::models {

std::string_view name_of(Task task) {
  return task == Task::kClassification ? "classification" : "language";
}

std::optional<AttentionParts> Network::attention_parts(std::int64_t) const { return {}; }

std::vector<ScaleGroup> Network::scale_groups() const { return {}; }

std::optional<ResidualParts> Network::residual_parts() const { return {}; }

at::Tensor Network::forward(const at::Tensor& input, Tap& tap) const {
  at::Tensor hidden = embed(input, tap);
  for (std::int64_t i = 0; i < unit_count(); ++i) hidden = unit(i, hidden, tap);
  return head(hidden, tap);
}

at::Tensor Network::forward(const at::Tensor& input) const {
  Untapped nothing;
  return forward(input, nothing);
}

void Network::set_prefix(Prefix) {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("networks of family '{}' take no prefix", info().family));
}

at::Tensor Network::decode(const at::Tensor&, KeyValueCache&, Tap&) const {
  throw Error(ErrorKind::kUnsupported,
              fmt::format("networks of family '{}' do not decode", info().family));
}

void Network::to(at::ScalarType dtype) {
  const auto convert = [dtype](const at::Tensor& value) { return value.detach().to(dtype); };
  for (ParameterTable* table : {&parameters_, &buffers_}) {
    for (const auto& [name, slot] : table->shapes()) {
      const bool deferred_alike = slot->is_meta() && slot->scalar_type() == dtype;
      if (slot->is_floating_point() && !deferred_alike) table->update(name, dtype, convert);
    }
  }
  std::vector<KeyValues> units = prefix_.units();
  for (KeyValues& each : units) {
    each = {each.keys.detach().to(dtype), each.values.detach().to(dtype)};
  }
  prefix_ = Prefix(std::move(units));
}

at::ScalarType Network::dtype() const {
  return parameters_.shapes().begin()->second->scalar_type();
}

at::Device Network::device() const {
  const auto& all = parameters_.shapes();
  const auto valued = std::find_if(all.begin(), all.end(),
                                   [](const auto& each) { return !each.second->is_meta(); });
  return (valued == all.end() ? all.begin() : valued)->second->device();
}

void Network::defer_weights() {
  held_by_unit_ = weights_by_unit();
  for (const std::vector<std::string>& names : held_by_unit_) {
    held_by_any_.insert(held_by_any_.end(), names.begin(), names.end());
  }
  parameters_.allow_deferring(held_by_any_);
}

WeightHold Network::hold(std::int64_t unit, bool last_use) const {
  if (held_by_unit_.empty()) return {};
  return {parameters_, held_by_unit_.at(static_cast<std::size_t>(unit + 1)), last_use};
}

WeightHold Network::hold_all() const {
  if (held_by_unit_.empty()) return {};
  return {parameters_, held_by_any_};
}

}  // namespace assay::models
