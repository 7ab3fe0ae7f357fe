#pragma once

#include <unistd.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/run/conductor.h"
#include "harness/schedule/transport.h"
#include "tests/support/temporary_folder.h"

namespace assay::run {

// Keeps what it is given; can refuse like a full disk.
class RecordingSink : public record::RunSink {
 public:
  record::History history() override { return {}; }
  void begin(const plan::Plan&, const record::RunStart&) override {}
  void commit(const record::RecordGroup& group) override {
    if (full) throw Error(ErrorKind::kIo, "disk full");
    if (held) throw Error(ErrorKind::kEnvironment, "held by another process", {{"sqlite", "5"}});
    groups.push_back(group);
    if (on_commit) on_commit();
  }
  void end(double, int) override {}

  std::vector<record::AttemptRecord> attempts() const {
    std::vector<record::AttemptRecord> all;
    for (const auto& group : groups)
      all.insert(all.end(), group.attempts.begin(), group.attempts.end());
    return all;
  }
  std::vector<record::StageRecord> stages() const {
    std::vector<record::StageRecord> all;
    for (const auto& group : groups)
      all.insert(all.end(), group.stages.begin(), group.stages.end());
    return all;
  }

  std::vector<record::RecordGroup> groups;
  bool full = false;
  bool held = false;
  std::function<void()> on_commit;
};

class RecordingSupervisor : public SupervisorHandle {
 public:
  void start(std::size_t slot, const supervise::Assignment& assignment) override {
    started.push_back({slot, assignment});
  }
  void stop(const std::string& attempt, double grace) override {
    stopped.push_back(attempt);
    grace_s = grace;
  }
  void kill(const std::string& attempt) override { killed.push_back(attempt); }
  void retract(const std::string& attempt) override { retracted.push_back(attempt); }

  struct Started {
    std::size_t slot = 0;
    supervise::Assignment assignment;
  };
  std::vector<Started> started;
  std::vector<std::string> stopped;
  double grace_s = -1;
  std::vector<std::string> killed;
  std::vector<std::string> retracted;
};

class RecordingProgress : public RunProgress {
 public:
  void line(const std::string& text) override { lines.push_back(text); }
  void show(const RunStatus&) override {}
  void close() override {}
  std::vector<std::string> lines;
};

// Ranks of one process that talk through queues.
class LoopbackNetwork {
 public:
  explicit LoopbackNetwork(int ranks) : size(ranks) {}

  class Endpoint : public schedule::Transport {
   public:
    Endpoint(LoopbackNetwork& network, int rank) : network_(network), rank_(rank) {}
    int rank() const override { return rank_; }
    int size() const override { return network_.size; }
    int local_rank() const override { return rank_; }
    int local_size() const override { return network_.size; }
    std::string from_rank_0(std::string text) override { return text; }
    void send(int to, std::string text) override {
      network_.mail[to].push_back({rank_, std::move(text)});
    }
    std::optional<Incoming> receive() override {
      auto& box = network_.mail[rank_];
      if (box.empty()) return std::nullopt;
      Incoming first = std::move(box.front());
      box.pop_front();
      return first;
    }
    void finish(bool) override {}

   private:
    LoopbackNetwork& network_;
    int rank_;
  };
  Endpoint at(int rank) { return {*this, rank}; }

  int size;
  std::map<int, std::deque<schedule::Transport::Incoming>> mail;
};

// Keys are 64 hexadecimal digits, as the store wants them.
inline std::string key_of(char digit) { return std::string(64, digit); }

// make -> use, one trial.
inline plan::Plan two_stages() {
  plan::Plan plan;
  plan.sweep = "two";
  plan.stages.resize(2);
  plan.stages[0].key = key_of('a');
  plan.stages[0].name = plan.stages[0].label = "make";
  plan.stages[1].key = key_of('b');
  plan.stages[1].name = plan.stages[1].label = "use";
  plan.stages[1].inputs = {{"made", key_of('a')}};
  plan.trials.resize(1);
  plan.trials[0].stages = {0, 1};
  return plan;
}

inline supervise::Report report(supervise::ReportKind kind, char key, int number = 1,
                                std::size_t slot = 0) {
  supervise::Report report;
  report.kind = kind;
  report.slot = slot;
  report.key = key_of(key);
  report.attempt = report.key + "." + std::to_string(number);
  report.record.key = report.key;
  report.record.number = number;
  report.record.started_unix_s = 100;
  report.record.ended_unix_s = 102;
  report.record.log_path = "logs/" + report.attempt + ".log";
  if (kind == supervise::ReportKind::kPublished) {
    report.artifact.path = "/store/" + report.key;
    report.artifact.result = {{"metrics", {{"value", 7}}}};
  }
  return report;
}

inline supervise::Report failure(char key, ErrorKind kind, int number = 1) {
  auto failed = report(supervise::ReportKind::kFailed, key, number);
  failed.error = kind;
  failed.message = "because";
  return failed;
}

}  // namespace assay::run
