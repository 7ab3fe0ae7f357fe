#include "harness/models/network.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay::models {

std::string_view name_of(Task task) {
  return task == Task::kClassification ? "classification" : "language";
}

void ParameterTable::add(const std::string& name, at::Tensor* slot) { slots_.emplace(name, slot); }

at::Tensor& ParameterTable::at(const std::string& name) const {
  const auto found = slots_.find(name);
  if (found != slots_.end()) return *found->second;
  std::vector<std::string> names;
  for (const auto& item : slots_) names.push_back(item.first);
  const std::string close = nearest(name, names);
  throw Error(ErrorKind::kData,
              fmt::format("the network has no tensor '{}'{}", name,
                          close.empty() ? "" : "; did you mean '" + close + "'?"),
              {{"tensor", name}});
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
  for (const ParameterTable* table : {&parameters_, &buffers_})
    for (const auto& item : table->slots())
      if (item.second->is_floating_point()) *item.second = item.second->detach().to(dtype);
  std::vector<KeyValues> units = prefix_.units();
  for (KeyValues& each : units) {
    each = {each.keys.detach().to(dtype), each.values.detach().to(dtype)};
  }
  prefix_ = Prefix(std::move(units));
}

at::ScalarType Network::dtype() const { return parameters_.slots().begin()->second->scalar_type(); }

}  // namespace assay::models
