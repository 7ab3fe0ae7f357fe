#include "harness/contract/network_chain.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay {
namespace {

constexpr std::string_view kLast = "network";

}  // namespace

std::string network_input(std::size_t index, std::size_t count) {
  return index + 1 == count ? std::string(kLast) : std::string(kLast) + "." + std::to_string(index);
}

bool is_network_input(std::string_view name) {
  if (!name.starts_with(kLast)) return false;
  const std::string_view rest = name.substr(kLast.size());
  return rest.empty() || (rest.size() > 1 && rest[0] == '.' &&
                          rest.find_first_not_of("0123456789", 1) == std::string_view::npos);
}

bool is_own_network(const StageDeclaration& stage, const InputDeclaration& input) {
  return input.name == kLast && !stage.reads_network && input.when.empty();
}

bool works_on_network(const Catalogue& catalogue, const StageDeclaration& stage) {
  if (stage.reads_network) return true;
  return std::any_of(stage.inputs.begin(), stage.inputs.end(), [&](const InputDeclaration& input) {
    const StageDeclaration* below = catalogue.find_stage(input.stage);
    return is_own_network(stage, input) && below != nullptr && below->reads_network;
  });
}

std::vector<std::filesystem::path> network_chain(const StageContext& context) {
  std::vector<std::filesystem::path> chain;
  if (!context.has_input(kLast)) return chain;
  for (std::size_t i = 0;; ++i) {
    const std::string name = network_input(i, i + 2);
    if (!context.has_input(name)) break;
    chain.push_back(context.input(name));
  }
  chain.push_back(context.input(kLast));
  return chain;
}

std::vector<std::string> step_names(const std::vector<std::string>& methods) {
  std::vector<std::string> names;
  for (const std::string& method : methods) {
    const auto before = std::count(
        methods.begin(), methods.begin() + static_cast<std::ptrdiff_t>(names.size()), method);
    names.push_back(before == 0 ? method : fmt::format("{}.{}", method, before + 1));
  }
  return names;
}

}  // namespace assay
