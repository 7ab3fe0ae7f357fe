#pragma once

#include <filesystem>
#include <memory>

#include "harness/record/sink.h"

namespace assay::results {

// The results database of a run folder as the run writes it: results.sqlite. One per run folder and
// one thread, under the folder's run.lock. An existing database goes on where it was: begin()
// registers the plan again, older results stay as history. A run with {"only": EXPRESSION} in its
// options adds to the trials that are current, any other run replaces them.
//
// Every member throws Error(kEnvironment) with {"sqlite", "5"} in its context after a second during
// which another process held the database: nothing was changed, and the call may be repeated.
class DatabaseSink : public record::RunSink {
 public:
  // Opens or creates it. Throws Error(kEnvironment) for a damaged, foreign or newer database.
  explicit DatabaseSink(const std::filesystem::path& path);
  ~DatabaseSink() override;

  record::History history() override;
  void begin(const plan::Plan& plan, const record::RunStart& start) override;
  void commit(const record::RecordGroup& group) override;
  void end(double unix_s, int exit_code) override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay::results
