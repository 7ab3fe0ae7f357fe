#pragma once

#include <chrono>
#include <deque>
#include <filesystem>
#include <set>
#include <string>

#include "harness/contract/stage_context.h"
#include "harness/exec/channel.h"
#include "harness/exec/resident.h"

namespace assay::exec {

// What a stage body sees of one run, over the protocol. Lives as long as the run.
class ProtocolContext : public StageContext {
 public:
  // `waiting` takes messages that arrive during the run and are not about it.
  ProtocolContext(const protocol::Run& run, Channel& channel, ResidentCache& cache,
                  std::shared_ptr<InputWatch> watch, std::deque<protocol::Message>& waiting);

  const Json& recipe() const override { return run_.recipe; }
  const Json& locations() const override { return run_.locations; }
  std::shared_ptr<InputWatch> watch() const override { return watch_; }
  std::filesystem::path input(std::string_view name) const override;
  bool has_input(std::string_view name) const override;
  std::filesystem::path output() override;
  std::filesystem::path resume_dir() override;
  void checkpoint(std::int64_t step) override;
  void progress(std::int64_t done, std::int64_t total, std::string_view unit) override;
  void metric(std::string_view name, double value, std::int64_t step) override;
  bool stop_requested() const override;
  std::shared_ptr<void> resident(const std::string& key,
                                 const std::function<std::shared_ptr<void>()>& make) override {
    return cache_.get(key, make);
  }

 private:
  protocol::Message about_this_run(protocol::Type type) const;

  const protocol::Run& run_;
  Channel& channel_;
  ResidentCache& cache_;
  std::shared_ptr<InputWatch> watch_;
  mutable std::set<std::string> held_;  // inputs that are watched
  std::deque<protocol::Message>& waiting_;
  mutable bool stop_ = false;
  std::chrono::steady_clock::time_point next_progress_{};
};

}  // namespace assay::exec
