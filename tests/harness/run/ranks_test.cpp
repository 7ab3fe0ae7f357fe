#include "harness/run/ranks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/supervise/host.h"
#include "tests/harness/run/run_fakes.h"
#include "tests/support/refusal.h"

namespace assay::run {
namespace {

using assay::testing::refusal;
using supervise::ReportKind;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Rank 0 with a conductor, and one rank whose messages the test writes.
class ranks : public ::testing::Test {
 protected:
  ranks() {
    Inventory inventory;
    inventory.known.resize(2);
    inventory.artifacts.resize(2);
    conductor_.emplace(plan_, "run", schedule::Options{}, inventory,
                       RunOutlets{store_, sink_, progress_});
    conductor_->start();
  }
  void say(const Json& message) { remote_.send(0, message.dump()); }
  void report(const std::vector<supervise::Report>& list) {
    Json reports = Json::array();
    for (const auto& r : list) reports.push_back(to_json(r));
    say({{"type", "reports"}, {"reports", reports}});
  }
  void turn(double now) {
    ranks_.pump(now);
    conductor_->settle();
    ranks_.answer(now);
  }
  std::vector<Json> heard() {
    std::vector<Json> all;
    while (auto incoming = remote_.receive()) all.push_back(Json::parse(incoming->text));
    return all;
  }
  void join(double now) {
    ranks_.welcome(Welcome{}, *conductor_);
    say(to_json(supervise::HostNumerics{"h", "avx2", false}));
    turn(now);
    heard();
    say(to_json(SupervisorOffer{"elsewhere", {"elsewhere/1.0"}, {}}));
    turn(now);
  }

  TemporaryFolder folder_;
  supervise::Store store_{folder_.path()};
  plan::Plan plan_ = two_stages();
  RecordingSink sink_;
  RecordingProgress progress_;
  std::optional<Conductor> conductor_;
  LoopbackNetwork network_{2};
  LoopbackNetwork::Endpoint home_ = network_.at(0);
  LoopbackNetwork::Endpoint remote_ = network_.at(1);
  Ranks ranks_{home_};
};

TEST_F(ranks, a_hello_waits_until_there_is_something_to_say) {
  say(to_json(supervise::HostNumerics{"h", "avx2", false}));
  turn(0);
  EXPECT_THAT(heard(), IsEmpty());
  ranks_.welcome(Welcome{}, *conductor_);
  turn(1);
  ASSERT_THAT(heard(), SizeIs(1));
}

TEST_F(ranks, what_joins_is_given_work_at_once) {
  join(0);
  const auto answers = heard();
  ASSERT_THAT(answers, SizeIs(1));
  const Command command = command_from(answers[0].at("commands").at(0));
  EXPECT_EQ(command.kind, Command::Kind::kStart);
  EXPECT_EQ(command.assignment.attempt(), key_of('a') + ".1");
}

TEST_F(ranks, an_idle_rank_is_answered_after_a_second) {
  join(0);
  heard();
  report({});
  turn(0.1);
  EXPECT_THAT(heard(), IsEmpty());
  turn(1.2);
  ASSERT_THAT(heard(), SizeIs(1));
}

TEST_F(ranks, results_come_home_and_bring_the_next_stage) {
  join(0);
  heard();
  report({run::report(ReportKind::kPublished, 'a')});
  turn(0.1);
  const auto answers = heard();
  ASSERT_THAT(answers, SizeIs(1));
  const Command command = command_from(answers[0].at("commands").at(0));
  EXPECT_EQ(command.assignment.inputs.at("made"), "/store/" + key_of('a'));
  report({run::report(ReportKind::kPublished, 'b')});
  turn(0.2);
  EXPECT_TRUE(conductor_->finish());
  EXPECT_THAT(sink_.stages(), SizeIs(2));
}

TEST_F(ranks, never_speaks_unasked) {
  join(0);
  heard();  // its only request is answered
  conductor_->stop(schedule::StopReason::kSignal, false, "");
  turn(5);
  EXPECT_THAT(heard(), IsEmpty());
  report({});
  turn(5.1);
  ASSERT_THAT(heard(), SizeIs(1));
}

TEST_F(ranks, a_silent_rank_is_lost) {
  join(supervise::monotonic_seconds());
  turn(supervise::monotonic_seconds() + Ranks::kSilentSeconds + 1);
  EXPECT_FALSE(ranks_.all_alive());
  EXPECT_EQ(sink_.attempts().size() + conductor_->counts().running, 0u);
  conductor_->settle();
  EXPECT_EQ(sink_.attempts().at(0).outcome, "lost");
}

TEST_F(ranks, are_told_to_wait_while_rank_0_plans) {
  say(to_json(supervise::HostNumerics{"h", "avx2", false}));
  turn(0);
  EXPECT_THAT(heard(), IsEmpty());
  turn(1.1);
  const auto answers = heard();
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].at("type"), "wait");
  ranks_.welcome(Welcome{}, *conductor_);
  turn(1.2);
  EXPECT_THAT(heard(), IsEmpty()) << "nothing was asked";
  say(to_json(supervise::HostNumerics{"h", "avx2", false}));
  turn(1.3);
  EXPECT_EQ(heard().at(0).at("type"), "welcome");
}

TEST_F(ranks, a_rank_whose_question_is_not_answered_is_not_silent) {
  const double now = supervise::monotonic_seconds();
  join(now);
  heard();
  report({});
  ranks_.pump(now);
  ranks_.answer(now + Ranks::kSilentSeconds + 25);  // rank 0 itself was stopped
  EXPECT_TRUE(ranks_.all_alive());
}

TEST_F(ranks, one_that_was_given_up_and_speaks_again_is_taken_back) {
  const double then = supervise::monotonic_seconds();
  join(then);
  heard();
  turn(then + Ranks::kSilentSeconds + 1);
  ASSERT_FALSE(ranks_.all_alive());
  // What it says of its stages is about what went elsewhere.
  report({run::report(ReportKind::kPublished, 'a')});
  turn(then + 70);
  EXPECT_EQ(heard().at(0).at("type"), "again");
  EXPECT_EQ(conductor_->status().stages_done, 0);
  say(to_json(supervise::HostNumerics{"h", "avx2", false}));
  turn(then + 71);
  EXPECT_EQ(heard().at(0).at("type"), "welcome");
  say(to_json(SupervisorOffer{"elsewhere", {"elsewhere/1.0"}, {}}));
  turn(then + 72);
  const Command command = command_from(heard().at(0).at("commands").at(0));
  EXPECT_EQ(command.assignment.attempt(), key_of('a') + ".2");
  EXPECT_TRUE(ranks_.all_alive());
}

TEST_F(ranks, one_that_was_given_up_does_not_spoil_the_end_if_it_speaks) {
  const double then = supervise::monotonic_seconds();
  join(then);
  heard();
  turn(then + Ranks::kSilentSeconds + 1);
  EXPECT_FALSE(ranks_.dismiss(0.01)) << "it is not waited for";
  report({});
  EXPECT_TRUE(ranks_.dismiss(1));
  EXPECT_EQ(heard().at(0).at("type"), "bye");
}

TEST_F(ranks, tell_of_the_signals_that_they_got) {
  say({{"type", "signal"}, {"number", 15}, {"from_launcher", true}});  // before it has joined
  turn(0);
  EXPECT_EQ(ranks_.signals(), (std::vector<StopSignal>{{15, true}}));
  EXPECT_THAT(ranks_.signals(), IsEmpty());
  turn(1.1);
  EXPECT_EQ(heard().at(0).at("type"), "wait");
  join(2);
  heard();
  say({{"type", "signal"}, {"number", 10}, {"from_launcher", false}});
  turn(2.1);
  EXPECT_EQ(ranks_.signals(), (std::vector<StopSignal>{{10, false}}));
}

TEST_F(ranks, are_dismissed_when_they_ask) {
  join(0);
  heard();
  report({});
  EXPECT_TRUE(ranks_.dismiss(1));
  const auto answers = heard();
  ASSERT_THAT(answers, SizeIs(1));
  EXPECT_EQ(answers[0].at("type"), "bye");
}

TEST_F(ranks, that_never_ask_are_not_waited_for_longer_than_told) {
  EXPECT_FALSE(ranks_.dismiss(0.05));
}

TEST_F(ranks, a_message_out_of_turn_is_an_error) {
  say({{"type", "reports"}, {"reports", Json::array()}});
  EXPECT_THROW(turn(0), Error);
}

TEST_F(ranks, malformed_text_is_an_error) {
  remote_.send(0, "{\"type\": ");
  EXPECT_THROW(turn(0), Error);
}

TEST(messages, a_report_comes_back) {
  supervise::Report sent = report(ReportKind::kPublished, 'a', 3, 2);
  sent.nondeterminism = "x";
  sent.lost_inputs = {"key"};
  sent.record.environment = {{"cpu", "z"}};
  EXPECT_EQ(to_json(report_from(to_json(sent))), to_json(sent));
}

TEST(messages, a_welcome_comes_back) {
  Welcome sent;
  sent.store = "/store";
  sent.providers = {{"echo", {"python3", "echo.py"}}};
  sent.jobs = 3;
  EXPECT_EQ(to_json(welcome_from(to_json(sent))), to_json(sent));
}

TEST(messages, a_missing_field_is_named) {
  Json json = to_json(Welcome{});
  json.erase("store");
  EXPECT_THAT(refusal([&] { welcome_from(json); }),
              ::testing::AllOf(::testing::StartsWith("data: "), ::testing::HasSubstr("store")));
}

}  // namespace
}  // namespace assay::run
