#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/supervise/host.h"
#include "harness/supervise/supervisor.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {

// A supervisor of two slots over a store of its own, with the echo provider.
class SupervisorTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    options.slots = {{"here/0.0", {}}, {"here/0.1", {}}};
    options.providers["echo"] = {ECHO_PROVIDER};
    options.providers["echo-py"] = {"python3", "tests/providers/echo.py"};
    options.logs = folder.path() / "run" / "logs";
    options.run = "run-1";
    options.stall_timeout_s = 20;
    options.start_timeout_s = 20;
    options.environment = {{"assay_version", "test"}};
  }

  Supervisor& supervisor() {
    if (!supervisor_) supervisor_ = std::make_unique<Supervisor>(store, options);
    return *supervisor_;
  }

  Assignment stage(const std::string& name, Json parameters = Json::object(), int number = 1,
                   const std::string& provider = "echo") {
    Assignment made;
    made.stage.name = "echo." + name;
    made.stage.recipe = Json{{"stage", made.stage.name}, {"parameters", parameters}, {"seed", 7}};
    made.stage.key = sha256(made.stage.recipe_text());
    made.stage.provider = provider;
    made.number = number;
    return made;
  }

  // Everything reported until all is done; checks that each attempt ends once.
  std::vector<Report> finish(double patience_s = 30) {
    std::vector<Report> all = std::exchange(before_, {});
    const double until = monotonic_seconds() + patience_s;
    while (!supervisor().idle() && monotonic_seconds() < until) {
      for (Report& each : supervisor().poll(0.2)) all.push_back(std::move(each));
    }
    EXPECT_TRUE(supervisor().idle()) << "it hangs";
    std::set<std::string> ended;
    for (const Report& each : all) {
      if (ends(each)) {
        EXPECT_TRUE(ended.insert(each.attempt).second) << each.attempt << " ended twice";
      }
    }
    return all;
  }

  static bool ends(const Report& each) {
    return each.kind == ReportKind::kPublished || each.kind == ReportKind::kFailed ||
           each.kind == ReportKind::kFound || each.kind == ReportKind::kTaken;
  }

  // The end of a single stage.
  Report run(const Assignment& assignment, std::size_t slot = 0) {
    supervisor().start(slot, assignment);
    for (Report& each : finish()) {
      if (ends(each)) return std::move(each);
    }
    ADD_FAILURE() << "no end";
    return {};
  }

  Report wait_for(ReportKind kind) {
    const double until = monotonic_seconds() + 20;
    while (monotonic_seconds() < until) {
      for (Report& each : supervisor().poll(0.2)) {
        if (each.kind == kind) return std::move(each);
        before_.push_back(std::move(each));
      }
    }
    ADD_FAILURE() << "nothing of that kind was reported";
    return {};
  }

  void wait_for_start(const Assignment& assignment) {
    const double until = monotonic_seconds() + 20;
    while (monotonic_seconds() < until) {
      for (const Report& each : supervisor().poll(0.05)) {
        if (each.kind == ReportKind::kStarted && each.attempt == assignment.attempt()) return;
      }
    }
    ADD_FAILURE() << "it did not start";
  }

  // The only child of this process.
  static pid_t executor_pid() {
    const std::string path = "/proc/self/task/" + std::to_string(::getpid()) + "/children";
    return static_cast<pid_t>(std::stol(read_file(path)));
  }

  std::string log_of(const Report& report) {
    return report.record.log_path.empty()
               ? ""
               : read_file(folder.path() / "run" / report.record.log_path);
  }

  void publish_as_another_run(const std::string& key) {
    const Finished made{key, "", {{"stage", "x"}, {"key", key}, {"metrics", {{"v", 1}}}}, "",
                        "run-2"};
    other.publish({&made, 1});
  }

  TemporaryFolder folder;
  Store store{folder.path() / "store"};
  Store other{folder.path() / "store"};  // of another run
  SupervisorOptions options;

 private:
  std::unique_ptr<Supervisor> supervisor_;
  std::vector<Report> before_;
};

}  // namespace assay::supervise
