#include "harness/run/rank_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/run/rank_messages.h"
#include "harness/supervise/host.h"
#include "tests/harness/run/run_fakes.h"
#include "tests/support/refusal.h"

namespace assay::run {
namespace {

using assay::testing::refusal;

// What rank 0 answers to each message, in turn; then nothing more.
class Scripted : public schedule::Transport {
 public:
  explicit Scripted(std::deque<Json> answers) : answers_(std::move(answers)) {}
  int rank() const override { return 1; }
  int size() const override { return 2; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  std::string from_rank_0(std::string text) override { return text; }
  void send(int, std::string text) override {
    heard.push_back(Json::parse(text).at("type"));
    if (answers_.empty()) return;
    inbox_.push_back(answers_.front());
    answers_.pop_front();
  }
  std::optional<Incoming> receive() override {
    if (inbox_.empty()) return std::nullopt;
    Incoming first{0, inbox_.front().dump()};
    inbox_.pop_front();
    return first;
  }
  void finish(bool) override {}

  std::vector<std::string> heard;

 private:
  std::deque<Json> answers_;
  std::deque<Json> inbox_;
};

supervise::ProcessIdentity somebody_dead() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  supervise::ProcessIdentity dead = supervise::this_process();
  dead.pid = child;
  return dead;
}

class WorkerTest : public ::testing::Test {
 protected:
  Json welcome() {
    Welcome message;
    message.store = folder_.path() / "store";
    message.nonce = supervise::Store(message.store).write_nonce();
    message.logs = folder_.path() / "logs";
    message.jobs = 1;
    return to_json(message);
  }
  const Json wait_ = {{"type", "wait"}};
  const Json bye_ = {{"type", "bye"}};
  const Json again_ = {{"type", "again"}};

  TemporaryFolder folder_;
  StopSignals signals_;
};

TEST_F(WorkerTest, asks_again_until_rank_0_has_planned) {
  Scripted rank_0({wait_, wait_, bye_});
  EXPECT_EQ(run_rank(rank_0, supervise::this_process(), signals_), 0);
  EXPECT_THAT(rank_0.heard, ::testing::ElementsAre("hello", "hello", "hello"));
}

TEST_F(WorkerTest, starts_over_when_it_was_given_up) {
  Scripted rank_0({welcome(), again_, welcome(), bye_});
  EXPECT_EQ(run_rank(rank_0, supervise::this_process(), signals_), 0);
  EXPECT_THAT(rank_0.heard, ::testing::ElementsAre("hello", "ready", "hello", "ready"));
}

TEST_F(WorkerTest, passes_its_signals_on) {
  ::kill(::getpid(), SIGTERM);
  Scripted rank_0({wait_, bye_});
  EXPECT_EQ(run_rank(rank_0, supervise::this_process(), signals_), 0);
  EXPECT_THAT(rank_0.heard, ::testing::ElementsAre("hello", "signal"));
}

TEST_F(WorkerTest, leaves_soon_after_rank_0_has_died) {
  const double before = supervise::monotonic_seconds();
  for (const bool welcomed : {false, true}) {
    Scripted rank_0(welcomed ? std::deque<Json>{welcome()} : std::deque<Json>{});
    EXPECT_THAT(refusal([&] { run_rank(rank_0, somebody_dead(), signals_); }),
                ::testing::HasSubstr("lost: rank 1: rank 0 is gone"));
  }
  EXPECT_LT(supervise::monotonic_seconds() - before, 20);
}

}  // namespace
}  // namespace assay::run
