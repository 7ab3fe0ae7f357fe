#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/core/stage_context.h"

namespace assay::evaluate {

// A run of one stage as a test wants it: recipe, locations and inputs are set by hand.
class FakeContext : public StageContext {
 public:
  Json recipe_json = {{"parameters", Json::object()}};
  Json locations_json = Json::object();
  std::map<std::string, std::filesystem::path> inputs;
  std::filesystem::path folder;
  bool stop = false;

  const Json& recipe() const override { return recipe_json; }
  const Json& locations() const override { return locations_json; }
  std::filesystem::path input(std::string_view name) const override {
    const auto found = inputs.find(std::string(name));
    if (found == inputs.end()) {
      throw Error(ErrorKind::kConfig, "no input " + std::string(name));
    }
    return found->second;
  }
  bool has_input(std::string_view name) const override {
    return inputs.contains(std::string(name));
  }
  std::filesystem::path output() override {
    std::filesystem::create_directories(folder);
    return folder;
  }
  std::filesystem::path resume_dir() override { return folder / "resume"; }
  void checkpoint(std::int64_t) override {}
  void progress(std::int64_t, std::int64_t, std::string_view) override {}
  void metric(std::string_view, double, std::int64_t) override {}
  bool stop_requested() const override { return stop; }
  std::shared_ptr<void> resident(const std::string& key,
                                 const std::function<std::shared_ptr<void>()>& make) override {
    auto& slot = kept_[key];
    return slot ? slot : slot = make();
  }

  // Runs a body and leaves result.json, as an executor and its supervisor do.
  Json run(const StageBody& body) {
    const Json result = body(*this);
    std::filesystem::create_directories(folder);
    write_file_atomically(folder / "result.json", result.dump());
    return result;
  }

 private:
  std::map<std::string, std::shared_ptr<void>> kept_;
};

}  // namespace assay::evaluate
