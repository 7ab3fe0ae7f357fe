#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/formats/philox.h"
#include "harness/models/family.h"

namespace assay::models {
namespace {

std::string text_of(const Json& configuration, const char* field) {
  const auto found = configuration.find(field);
  return found != configuration.end() && found->is_string() ? found->get<std::string>() : "";
}

// "qwen2" of "Qwen2ForCausalLM", "gpt2" of "GPT2LMHeadModel".
std::string type_of_architecture(std::string name) {
  for (const char* end : {"For", "LMHead", "Model"}) name = name.substr(0, name.find(end));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return name;
}

// Of a config.json that names its type by nothing else.
void require_architectures(const Family& family, const Json& configuration) {
  const auto found = configuration.find("architectures");
  if (found == configuration.end() || !found->is_array()) return;
  for (const Json& name : *found) {
    if (!name.is_string()) continue;
    const std::string type = type_of_architecture(name.get<std::string>());
    const auto same = [&](std::string known) {
      std::erase(known, '_');
      return known == type;
    };
    const std::vector<std::string>& types = family.declaration.model_types;
    if (std::any_of(types.begin(), types.end(), same)) continue;
    throw Error(ErrorKind::kUnsupported,
                fmt::format("configuration of family '{}': 'architectures' has {}, which is no "
                            "network of this family; legal are those of the types {}",
                            family.declaration.name, name.dump(), fmt::join(types, ", ")),
                {{"family", family.declaration.name}, {"field", "architectures"}});
  }
}

// A config.json that names another kind of network describes another forward pass, whatever its
// tensors are called. One that names none is taken at its word.
void require_family(const Family& family, const Json& configuration) {
  if (!configuration.is_object()) return;
  const std::vector<std::string>& types = family.declaration.model_types;
  for (const char* field : {"model_type", "architecture"}) {
    const auto found = configuration.find(field);
    if (found == configuration.end() || found->is_null()) continue;
    const std::string name = text_of(configuration, field);
    if (std::find(types.begin(), types.end(), name) != types.end()) return;
    if (std::string_view(field) == "architecture" && family.describes(configuration)) return;
    throw Error(ErrorKind::kUnsupported,
                fmt::format("configuration of family '{0}': '{1}' is {2}, which is no network of "
                            "this family; legal: {3}{4}",
                            family.declaration.name, field, found->dump(), fmt::join(types, ", "),
                            family.declaration.task == "language"
                                ? ""
                                : fmt::format(", or a name of {}", family.declaration.title)),
                {{"family", family.declaration.name}, {"field", field}});
  }
  require_architectures(family, configuration);
}

}  // namespace

const std::vector<Family>& all_families() {
  static const std::vector<Family> list = built_in_families();
  return list;
}

const Family& find_family(const std::string& name) {
  std::vector<std::string> names;
  for (const Family& family : all_families()) {
    if (family.declaration.name == name) return family;
    names.push_back(family.declaration.name);
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("unknown model family '{}'{}", name, suggestion(name, names)),
              {{"family", name}});
}

std::vector<FamilyDeclaration> families() {
  std::vector<FamilyDeclaration> all;
  for (const Family& family : all_families()) all.push_back(family.declaration);
  return all;
}

std::string family_of(const Json& configuration) {
  if (!configuration.is_object())
    throw Error(ErrorKind::kData, "config.json does not hold a JSON object");
  const std::string type = text_of(configuration, "model_type");
  const std::string architecture = text_of(configuration, "architecture");
  std::string known;
  for (const Family& family : all_families()) {
    const std::vector<std::string>& types = family.declaration.model_types;
    for (const std::string& name : {type, architecture})
      if (!name.empty() && std::find(types.begin(), types.end(), name) != types.end())
        return family.declaration.name;
    if (type.empty() && family.describes(configuration)) return family.declaration.name;
    known += (known.empty() ? "" : ", ") + fmt::format("{}", fmt::join(types, ", "));
  }
  throw Error(ErrorKind::kUnsupported,
              fmt::format("config.json describes no supported family: model_type '{}', "
                          "architecture '{}'; supported: {}",
                          type, architecture, known),
              {{"model_type", type}, {"architecture", architecture}});
}

std::unique_ptr<Network> make_network(const std::string& family, const Json& configuration,
                                      bool allocate) {
  const Family& record = find_family(family);
  require_family(record, configuration);
  try {
    // Shapes first: a network that is too large is refused before any of it is allocated.
    if (allocate) record.make(configuration, false);
    return record.make(configuration, allocate);
  } catch (const c10::Error& error) {
    throw Error(ErrorKind::kOom,
                fmt::format("cannot allocate the parameters of this '{}' network: {}", family,
                            error.what_without_backtrace()),
                {{"family", family}});
  }
}

std::unique_ptr<Network> make_network(const std::string& family, const Json& configuration) {
  return make_network(family, configuration, true);
}

void initialise(Network& network, std::uint64_t seed) {
  const Family& family = find_family(network.info().family);
  const at::NoGradGuard no_grad;
  std::uint64_t index = 0;
  for (const auto& [name, slot] : network.parameters().slots()) {
    Philox random(seed, "init", index++);
    slot->copy_(family.initial(network, name, *slot, random));
  }
  for (const auto& [name, slot] : network.buffers().slots())
    slot->fill_(name.ends_with("running_var") ? 1.0 : 0.0);
}

}  // namespace assay::models
