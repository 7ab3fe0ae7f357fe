#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "harness/core/error.h"
#include "harness/core/stage_context.h"
#include "tests/methods/support/folder.h"

namespace assay {

// A stage context over temporary folders. Inputs are folders that the test names.
class FakeContext : public StageContext {
 public:
  explicit FakeContext(const Json& parameters, std::int64_t seed = 0)
      : recipe_{{"parameters", parameters}, {"seed", seed}} {}

  const Json& recipe() const override { return recipe_; }
  const Json& locations() const override { return locations_; }
  std::filesystem::path input(std::string_view name) const override {
    const auto found = inputs.find(std::string(name));
    if (found == inputs.end()) throw Error(ErrorKind::kConfig, "no input " + std::string(name));
    return found->second;
  }
  bool has_input(std::string_view name) const override {
    return inputs.count(std::string(name)) > 0;
  }
  std::filesystem::path output() override { return made("output"); }
  std::filesystem::path resume_dir() override { return made("resume"); }
  void checkpoint(std::int64_t step) override {
    checkpoints.push_back(step);
    if (stop_at_checkpoint == step) stopping = true;
  }
  void progress(std::int64_t, std::int64_t, std::string_view) override {}
  void metric(std::string_view name, double value, std::int64_t) override {
    metrics[std::string(name)] = value;
  }
  bool stop_requested() const override { return stopping; }
  std::shared_ptr<void> resident(const std::string&,
                                 const std::function<std::shared_ptr<void>()>& make) override {
    return make();
  }

  std::map<std::string, std::filesystem::path> inputs;
  std::vector<std::int64_t> checkpoints;
  std::map<std::string, double> metrics;
  std::int64_t stop_at_checkpoint = -1;  // asks for an early end after this one
  bool stopping = false;

 private:
  std::filesystem::path made(const char* name) {
    std::filesystem::create_directories(folder_.path() / name);
    return folder_.path() / name;
  }

  Folder folder_;
  Json recipe_;
  Json locations_ = Json::object();
};

// The body of a stage by name. Throws std::out_of_range if nobody declared it.
inline StageBody body_of(const std::vector<StageImplementation>& stages, const std::string& name) {
  for (const StageImplementation& stage : stages) {
    if (stage.declaration.name == name) return stage.body;
  }
  throw std::out_of_range(name);
}

// Defaults of a method with some values replaced, and the bits.
inline Json parameters_of(const MethodDeclaration& method, const Json& given, int weight_bits,
                          int activation_bits) {
  Json parameters =
      checked_parameters(method.parameters, given.is_null() ? Json::object() : given, method.name);
  parameters["w_bits"] = weight_bits;
  parameters["a_bits"] = activation_bits;
  return parameters;
}

}  // namespace assay
