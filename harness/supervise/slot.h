#pragma once

#include <poll.h>

#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "harness/supervise/attempt_log.h"
#include "harness/supervise/executor.h"
#include "harness/supervise/input_bracket.h"
#include "harness/supervise/provider_files.h"
#include "harness/supervise/publisher.h"
#include "harness/supervise/report.h"
#include "harness/supervise/series.h"
#include "harness/supervise/spent.h"
#include "harness/supervise/store.h"

namespace assay::supervise {

// One slot of a supervisor: a queue of assignments, the one that runs, and an executor for each
// provider that it has needed. Times are monotonic seconds. Attempts start and are stopped in
// slot.cpp; slot_messages.cpp serves the executors, slot_outcomes.cpp ends an attempt,
// slot_deadlines.cpp watches the time, slot_store.cpp asks the store what others have done.
class Slot {
 public:
  Slot(std::size_t index, SlotOptions own, const SupervisorOptions& options, Store& store,
       Publisher& publisher);

  std::size_t load() const { return waiting_.size() + (running_ ? 1 : 0); }
  bool holds(const std::string& attempt) const;

  void enqueue(Assignment assignment) { waiting_.push_back(std::move(assignment)); }
  // Starts what waits as far as possible.
  void pump(std::vector<Report>& reports);

  // Starts the provider's executor ahead of need. One that cannot start says so to its first stage.
  void warm(const std::string& provider);

  void retract(const std::string& attempt, std::vector<Report>& reports);
  void stop(const std::string& attempt, double grace_s, std::vector<Report>& reports);
  void kill(const std::string& attempt, ErrorKind kind, const std::string& message,
            std::vector<Report>& reports);

  // Appends two entries an executor; serve() gets the same ones back.
  void descriptors(std::vector<pollfd>& into) const;
  void serve(std::span<const pollfd> ready, std::vector<Report>& reports);

  double deadline_s() const;
  void check_deadlines(double now_s, std::vector<Report>& reports);
  // Gives back time in which this process did not run, and perhaps its executors neither.
  void excuse_pause(double pause_s, double now_s);

  void stop_all(double grace_s, std::vector<Report>& reports);

  // Tells idle executors to leave; empty() once they are gone.
  void dismiss();
  bool empty() const { return executors_.empty(); }

 private:
  static constexpr double kNever = std::numeric_limits<double>::infinity();
  static constexpr double kPrepareSeconds = 600;  // imports from a slow file system
  static constexpr double kCopySeconds = 0.5;  // a running stage's output reaches its log so often
  static constexpr double kLookSeconds = 0.1;  // for the end of an executor without a pidfd
  static constexpr double kYieldSeconds = 5;   // for a stage that is left to another run
  static constexpr double kJustNowSeconds = 1e-3;  // a look at a provider's files is not repeated

  struct OwnExecutor {
    ProviderWatch code;  // begun before the executor
    double checked_s = -kNever;  // when its files were last looked at
    std::unique_ptr<Executor> executor;
    bool said_hello = false;  // it has said hello
    bool ready = false;       // and is prepared: it takes runs
    bool killed = false;      // killed by us: what it still says does not count
    std::string mark;         // what everything that it starts carries
    std::int64_t copied = 0;  // of its output, into logs
    double kill_at_s = 0;     // not ready by then, or it lives on after it closed its socket
    double look_s = kNever;   // without a pidfd: whether it has ended
  };
  struct Ending {  // why we kill the executor
    ErrorKind kind = ErrorKind::kLost;
    std::string message;
  };
  struct FolderMarks {  // mark_of() them
    std::uint64_t outputs = 0;      // of all attempts of this process
    std::uint64_t checkpoints = 0;  // of all stages
    double seen_s = -kNever;
  };
  struct Running {
    Assignment assignment;
    std::string attempt;
    std::filesystem::path output;
    std::filesystem::path resume_dir;
    FolderMarks marks;
    bool resumed = false;
    bool removed_output = false;  // by the stage itself
    bool left_folder = false;     // of its output, for a later attempt
    std::unique_ptr<AttemptLog> log;
    bool sent = false;
    double sent_s = 0;
    double sent_unix_s = 0;
    double paused_s = 0;  // of the time since, that counts against no limit
    double progress_s = 0;
    double copy_s = 0;
    double cpu_before_s = 0;
    Spent before;   // by attempts whose checkpoints this one goes on from
    Series series;  // with what those attempts had reported
    bool dropped_series = false;
    double grace_s = 0;
    double kill_at_s = kNever;
    double claim_s = kNever;
    bool claimed = false;
    std::string yields_to;  // the run that computes it; "": nobody else
    bool checkpointed = false;
    std::optional<Ending> ending;
    std::optional<InputBracket> inputs;  // of a foreign provider
  };

  void take_next();
  std::string run() const { return options_.run.empty() ? "run" : options_.run; }
  std::string scope() const;  // run id of a stage that is valid in one run only, else ""

  // slot_store.cpp
  bool decided_by_store(std::vector<Report>& reports);
  bool found_in_store(std::vector<Report>& reports);
  void leave_to(const std::string& holder, std::vector<Report>& reports);
  std::vector<std::string> lost_inputs() const;
  std::vector<std::string> damaged_inputs(const std::string& failure);
  void note_folders();
  std::string removed_folder(const std::string& failure) const;
  void claim(std::vector<Report>& reports);
  void unclaim();

  OwnExecutor* current();  // of what runs
  void start_executor(const std::string& provider);
  void send_run(std::vector<Report>& reports);
  void kill_executor(ErrorKind kind, const std::string& message);
  static std::string changed_code(OwnExecutor& mine);
  bool refuse_changed_code(std::vector<Report>& reports);
  // False if nothing had arrived.
  bool read(const std::string& provider, std::vector<Report>& reports);
  void handle(OwnExecutor& from, const std::string& provider, const protocol::Message& message,
              std::vector<Report>& reports);
  void note_metric(const protocol::Message& metric);
  void take_failure(OwnExecutor& from, const protocol::Failure& failure,
                    std::vector<Report>& reports);
  void take_hello(OwnExecutor& from, const std::string& provider, const protocol::Message& hello,
                  std::vector<Report>& reports);
  void make_ready(OwnExecutor& from, std::vector<Report>& reports);
  void finish(const protocol::Message& done, std::vector<Report>& reports);
  Finished finished(const protocol::Message& done, Report& out);
  void check_output_folder();
  void fail(ErrorKind kind, const std::string& message, const Json& context,
            std::vector<Report>& reports, const Death* death = nullptr, bool unusable = false);
  void excuse(Report& out);
  void look_for_the_dead(double now_s, std::vector<Report>& reports);
  void executor_ended(const std::string& provider, const Death& death,
                      std::vector<Report>& reports);
  void copy_output(OwnExecutor& from);
  Report report(ReportKind kind) const;
  record::AttemptRecord record();
  Spent spent();  // with the attempts before
  Json environment() const;

  std::size_t index_;
  SlotOptions own_;
  const SupervisorOptions& options_;
  Store& store_;
  Publisher& publisher_;
  std::deque<Assignment> waiting_;
  std::optional<Running> running_;
  FolderMarks marks_;
  std::map<std::string, OwnExecutor> executors_;  // by provider
  int started_executors_ = 0;                     // started so far
  bool dismissed_ = false;
};

}  // namespace assay::supervise
