#pragma once

#include <memory>
#include <string>

#include "harness/contract/inspection.h"
#include "harness/contract/stage_context.h"

namespace assay::exec {

// The context of a stage that is only asked about: its recipe and where its files lie. Its inputs
// are not made yet, and it makes nothing; asking for either throws Error(kConfig).
class QuestionContext final : public StageContext {
 public:
  // `question` is borrowed.
  explicit QuestionContext(const Question& question) : question_(question) {}

  const Json& recipe() const override { return question_.recipe; }
  const Json& locations() const override { return question_.locations; }
  bool has_input(std::string_view name) const override {
    return question_.inputs.contains(std::string(name));
  }
  std::filesystem::path input(std::string_view) const override { refuse(); }
  std::filesystem::path output() override { refuse(); }
  std::filesystem::path resume_dir() override { refuse(); }
  void checkpoint(std::int64_t) override {}
  void progress(std::int64_t, std::int64_t, std::string_view) override {}
  void metric(std::string_view, double, std::int64_t) override {}
  bool stop_requested() const override { return false; }
  std::shared_ptr<void> resident(const std::string&,
                                 const std::function<std::shared_ptr<void>()>& make) override {
    return make();
  }

 private:
  [[noreturn]] void refuse() const {
    throw Error(ErrorKind::kConfig,
                "stage '" + question_.stage + "' is asked about, not run: it has no artifacts");
  }

  const Question& question_;
};

}  // namespace assay::exec
