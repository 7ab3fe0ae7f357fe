#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/stage_context.h"
#include "tests/support/temporary_folder.h"

namespace assay {

// A run of one stage as a test wants it: recipe, locations and inputs are set by hand, output and
// checkpoints lie in folders of its own.
class FakeContext : public StageContext {
  TemporaryFolder own_;

 public:
  explicit FakeContext(const Json& parameters = Json::object(), std::int64_t seed = 0)
      : recipe_json{{"parameters", parameters}, {"seed", seed}} {}

  Json recipe_json;
  Json locations_json = Json::object();
  std::map<std::string, std::filesystem::path> inputs;
  std::filesystem::path folder = own_ / "output";

  bool stop = false;
  int stop_after = std::numeric_limits<int>::max();  // calls of stop_requested()
  std::int64_t stop_at_checkpoint = -1;              // asks for an early end after this one
  std::vector<std::int64_t> checkpoints;
  std::map<std::string, double> metrics;  // the newest value of each

  const Json& recipe() const override { return recipe_json; }
  const Json& locations() const override { return locations_json; }
  std::filesystem::path input(std::string_view name) const override {
    const auto found = inputs.find(std::string(name));
    if (found == inputs.end()) throw Error(ErrorKind::kConfig, "no input " + std::string(name));
    return found->second;
  }
  bool has_input(std::string_view name) const override {
    return inputs.contains(std::string(name));
  }
  std::filesystem::path output() override { return made(folder); }
  std::filesystem::path resume_dir() override { return made(own_ / "resume"); }
  void checkpoint(std::int64_t step) override {
    checkpoints.push_back(step);
    if (stop_at_checkpoint == step) stop = true;
  }
  void progress(std::int64_t, std::int64_t, std::string_view) override {}
  void metric(std::string_view name, double value, std::int64_t) override {
    metrics[std::string(name)] = value;
  }
  bool stop_requested() const override { return stop || ++asked_ >= stop_after; }
  std::shared_ptr<void> resident(const std::string& key,
                                 const std::function<std::shared_ptr<void>()>& make) override {
    std::shared_ptr<void>& kept = kept_[key];
    return kept ? kept : kept = make();
  }

  // Runs a body and leaves result.json, as an executor and its supervisor do.
  Json run(const StageBody& body) {
    const Json result = body(*this);
    write_file_atomically(output() / "result.json", result.dump());
    return result;
  }

 private:
  static std::filesystem::path made(const std::filesystem::path& path) {
    std::filesystem::create_directories(path);
    return path;
  }

  std::map<std::string, std::shared_ptr<void>> kept_;
  mutable int asked_ = 0;
};

// The body of a stage by name. Throws std::out_of_range if nobody declared it.
inline StageBody body_of(const std::vector<StageImplementation>& stages, const std::string& name) {
  for (const StageImplementation& stage : stages) {
    if (stage.declaration.name == name) return stage.body;
  }
  throw std::out_of_range(name);
}

}  // namespace assay
