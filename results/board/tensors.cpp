#include "results/board/tensors.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace assay::results {
namespace {

constexpr double kMostValues = 1e18;  // that a provider may claim and an integer holds

struct Tensor {
  std::string name, state, as;
  std::vector<std::int64_t> shape;
  double bits = 0;  // a value

  double values() const {
    double all = 1;
    for (const std::int64_t size : shape) all *= static_cast<double>(size);
    return all;
  }
};

// A provider's may be anything: what is not as declared is passed over.
std::vector<Tensor> tensors_in(const Json& result) {
  std::vector<Tensor> tensors;
  const Json list = result.is_object() ? result.value("tensors", Json()) : Json();
  if (!list.is_array()) return tensors;
  for (const Json& each : list) {
    const auto is = [&](const char* name, auto test) {
      return each.contains(name) && (each[name].*test)();
    };
    if (!each.is_object() || !is("name", &Json::is_string) || !is("state", &Json::is_string) ||
        !is("shape", &Json::is_array) || !is("bits", &Json::is_number)) {
      continue;
    }
    Tensor tensor{.name = each["name"], .state = each["state"], .bits = each["bits"]};
    if (is("as", &Json::is_string)) tensor.as = each["as"];
    for (const Json& size : each["shape"]) {
      tensor.shape.push_back(size.is_number_integer() ? size.get<std::int64_t>() : 0);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace

Table tensor_summary(const Json& result) {
  struct Sum {
    std::int64_t tensors = 0;
    double values = 0, bits = 0;
  };
  std::map<std::tuple<std::string, std::string>, Sum, std::greater<>> kinds;  // quantized, float
  for (const Tensor& tensor : tensors_in(result)) {
    Sum& sum = kinds[{tensor.state, tensor.as}];
    sum.tensors += 1;
    sum.values += tensor.values();
    sum.bits += tensor.bits * tensor.values();
  }
  Table table{
      .title = "Tensors",
      .columns = {
          {"state"}, {"as"}, {"tensors", true}, {"values", true}, {"bits per value", true}}};
  for (const auto& [kind, sum] : kinds) {
    const auto& [state, as] = kind;
    table.rows.push_back({text_cell(state), text_cell(as), count_cell(sum.tensors),
                          count_cell(static_cast<std::int64_t>(std::min(sum.values, kMostValues))),
                          number_cell(sum.values > 0 ? sum.bits / sum.values : 0, 3)});
  }
  return table;
}

Table tensor_table(const Json& result) {
  Table table{.title = "Tensors",
              .columns = {{"tensor"}, {"shape"}, {"state"}, {"as"}, {"bits per value", true}}};
  for (const Tensor& tensor : tensors_in(result)) {
    table.rows.push_back(
        {text_cell(tensor.name), text_cell(fmt::format("{}", fmt::join(tensor.shape, " x "))),
         text_cell(tensor.state), text_cell(tensor.as), number_cell(tensor.bits, 3)});
  }
  return table;
}

}  // namespace assay::results
