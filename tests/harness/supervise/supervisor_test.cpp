#include "harness/supervise/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "harness/base/utf8.h"
#include "harness/formats/safetensors_file.h"
#include "tests/harness/supervise/supervisor_fixture.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST_F(SupervisorTest, a_stage_is_run_published_and_measured) {
  const Assignment one = stage("value", {{"value", 2.5}});
  const Report end = run(one);
  ASSERT_EQ(end.kind, ReportKind::kPublished) << end.message;
  EXPECT_TRUE(end.first);
  EXPECT_EQ(end.artifact.result["metrics"], (Json{{"echo_value", 2.5}, {"echo_seed", 7}}));
  EXPECT_EQ(end.artifact.result["stage"], "echo.value");
  EXPECT_EQ(end.artifact.result["environment"]["assay_version"], "test");
  EXPECT_EQ(end.artifact.result["environment"]["host"], host_name());
  EXPECT_GE(end.artifact.result["cost"]["wall_s"].get<double>(), 0);
  EXPECT_EQ(end.record.outcome, "done");
  EXPECT_EQ(end.record.slot, "here/0.0");
  EXPECT_GE(end.record.cpu_s, 0);
  EXPECT_GT(end.record.peak_memory_bytes, 100'000);
  EXPECT_EQ(end.record.log_path, "") << "a silent stage makes no log";
  EXPECT_EQ(store.lookup(one.stage.key)->result, end.artifact.result);
}

TEST_F(SupervisorTest, a_python_script_is_a_provider_like_any_other) {
  const Report end = run(stage("file", {{"value", 1}, {"samples", 3}}, 1, "echo-py"));
  ASSERT_EQ(end.kind, ReportKind::kPublished) << end.message;
  const SafetensorsFile samples(end.artifact.path / "samples.safetensors");
  EXPECT_THAT(samples.values("value"), ::testing::ElementsAre(8, 9, 10));
  store.remove(end.key);
  const Report native = run(stage("file", {{"value", 1}, {"samples", 3}}, 2, "echo"));
  ASSERT_EQ(native.kind, ReportKind::kPublished) << native.message;
  EXPECT_EQ(native.artifact.result["metrics"], end.artifact.result["metrics"]);
}

TEST_F(SupervisorTest, executors_stay_warm) {
  std::set<std::int64_t> starts;
  for (int i = 0; i < 3; ++i) {
    run(stage("value", {{"value", i}}));
    for (const pollfd& each : supervisor().descriptors()) starts.insert(each.fd);
  }
  EXPECT_EQ(starts.size(), 2u) << "one socket and one pidfd, ever the same";
}

TEST_F(SupervisorTest, executors_start_ahead_of_need) {
  const auto sockets = [&] {
    std::set<std::int64_t> all;
    for (const pollfd& each : supervisor().descriptors()) all.insert(each.fd);
    return all;
  };
  supervisor().warm("echo");
  const std::set<std::int64_t> warm = sockets();
  EXPECT_EQ(warm.size(), 4u) << "a socket and a pidfd a slot";
  EXPECT_EQ(run(stage("value", {{"value", 1}}), 1).kind, ReportKind::kPublished);
  EXPECT_EQ(sockets(), warm);
  supervisor().warm("nobody");
  EXPECT_EQ(sockets(), warm);
}

TEST_F(SupervisorTest, many_short_stages_are_published_in_groups) {
  constexpr int kStages = 200;
  for (int i = 0; i < kStages; ++i)
    supervisor().start(static_cast<std::size_t>(i % 2), stage("value", {{"value", i}}));
  int published = 0;
  int polls_with_news = 0;
  const double until = monotonic_seconds() + 30;
  while (!supervisor().idle() && monotonic_seconds() < until) {
    int here = 0;
    for (const Report& each : supervisor().poll(1)) here += each.kind == ReportKind::kPublished;
    published += here;
    polls_with_news += here > 0;
  }
  EXPECT_EQ(published, kStages);
  EXPECT_LT(polls_with_news, kStages / 2);
}

TEST_F(SupervisorTest, failures_keep_their_kind_and_the_executor) {
  for (const char* kind : {"method", "data", "io", "oom", "config", "unsupported"}) {
    const Report end = run(stage("fail", {{"kind", kind}, {"message", "because"}}));
    EXPECT_EQ(end.kind, ReportKind::kFailed);
    EXPECT_EQ(name_of(end.error), kind);
    EXPECT_EQ(end.message, "because");
    EXPECT_EQ(end.record.outcome, kind);
  }
  EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished);
}

TEST_F(SupervisorTest, an_executor_that_calls_itself_broken_is_replaced) {
  supervisor().start(0, stage("fail", {{"kind", "crash"}}));
  supervisor().start(0, stage("value"));
  const std::vector<Report> all = finish();
  const auto count = [&](ReportKind kind) {
    return std::count_if(all.begin(), all.end(), [&](const Report& r) { return r.kind == kind; });
  };
  EXPECT_EQ(count(ReportKind::kFailed), 1);
  EXPECT_EQ(count(ReportKind::kPublished), 1);
}

TEST_F(SupervisorTest, a_crash_is_reported_with_signal_and_last_words_and_the_next_stage_runs) {
  const Report end = run(stage("crash"));
  EXPECT_EQ(end.error, ErrorKind::kCrash);
  EXPECT_EQ(end.record.signal, SIGABRT);
  EXPECT_THAT(end.message, HasSubstr("Aborted"));
  EXPECT_THAT(end.message, HasSubstr("about to abort"));
  EXPECT_EQ(log_of(end), "about to abort\n");
  EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished);
}

TEST_F(SupervisorTest, a_stage_that_recovers_is_published_on_its_second_attempt) {
  EXPECT_EQ(run(stage("crash", {{"recovers_after", 1}}, 1)).error, ErrorKind::kCrash);
  EXPECT_EQ(run(stage("crash", {{"recovers_after", 1}}, 2)).kind, ReportKind::kPublished);
}

TEST_F(SupervisorTest, output_goes_to_the_log_of_its_attempt) {
  const Report loud = run(stage("noise", {{"bytes", 3'000'000}}));
  ASSERT_EQ(loud.kind, ReportKind::kPublished) << loud.message;
  EXPECT_EQ(loud.record.log_path, "logs/" + loud.attempt + ".log");
  EXPECT_EQ(log_of(loud).size(), 6'000'000u);
  const Report next = run(stage("noise", {{"bytes", 10}}));
  EXPECT_EQ(log_of(next).size(), 20u);
}

TEST_F(SupervisorTest, a_stage_that_does_not_progress_is_killed_with_its_group) {
  options.stall_timeout_s = 0.3;
  const double start = monotonic_seconds();
  const Report end = run(stage("hang"));
  EXPECT_EQ(end.error, ErrorKind::kTimeout);
  EXPECT_THAT(end.message, HasSubstr("stall_timeout, 0.3 s"));
  EXPECT_LT(monotonic_seconds() - start, 1.3);
  EXPECT_EQ(end.record.signal, SIGKILL);
  EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished);
}

TEST_F(SupervisorTest, progress_keeps_a_stage_alive_but_not_past_stage_timeout) {
  options.stall_timeout_s = 0.8;
  options.stage_timeout_s = 1.5;
  EXPECT_EQ(run(stage("sleep", {{"seconds", 1.2}})).kind, ReportKind::kPublished);
  const Report end = run(stage("sleep", {{"seconds", 20}}));
  EXPECT_EQ(end.error, ErrorKind::kTimeout);
  EXPECT_THAT(end.message, HasSubstr("stage_timeout, 1.5 s"));
}

TEST_F(SupervisorTest, a_long_stage_goes_on_from_its_checkpoint_after_a_kill) {
  const Json parameters = {{"steps", 12}, {"step_s", 0.03}};
  const Assignment first = stage("long", parameters, 1);
  const fs::path checkpoints = store.root() / "partial" / first.stage.key.str();
  supervisor().start(0, first);
  while (wait_for(ReportKind::kCheckpoint).step < 4) {
  }
  supervisor().kill(first.attempt());
  Report end;
  for (Report& each : finish()) {
    if (each.kind == ReportKind::kFailed) end = std::move(each);
  }
  EXPECT_EQ(end.error, ErrorKind::kLost);
  EXPECT_TRUE(end.checkpointed);
  const Report second = run(stage("long", parameters, 2), 1);
  ASSERT_EQ(second.kind, ReportKind::kPublished) << second.message;
  EXPECT_EQ(second.artifact.result["metrics"]["echo_steps"], 12);
  EXPECT_LE(second.artifact.result["cost"]["executed_steps"].get<int>(), 8);
  EXPECT_GT(second.artifact.result["cost"]["executed_steps"].get<int>(), 0);
  EXPECT_FALSE(fs::exists(checkpoints));
}

TEST_F(SupervisorTest, stop_asks_for_a_checkpoint_and_kills_who_does_not_listen) {
  const Assignment polite = stage("long", {{"steps", 1000}, {"step_s", 0.02}});
  supervisor().start(0, polite);
  wait_for(ReportKind::kCheckpoint);
  supervisor().stop(polite.attempt(), 10);
  const Report stopped = wait_for(ReportKind::kFailed);
  EXPECT_EQ(stopped.error, ErrorKind::kLost);
  EXPECT_THAT(stopped.message, HasSubstr("stopped as asked after step"));

  const Assignment deaf = stage("hang");
  supervisor().start(1, deaf);
  wait_for_start(deaf);
  supervisor().stop(deaf.attempt(), 0.2);
  const Report killed = wait_for(ReportKind::kFailed);
  EXPECT_EQ(killed.error, ErrorKind::kLost);
  EXPECT_THAT(killed.message, HasSubstr("did not end within 0.2 s"));
}

TEST_F(SupervisorTest, what_waits_can_be_taken_back_or_dropped) {
  supervisor().start(0, stage("sleep", {{"seconds", 0.2}}));
  const Assignment retracted = stage("value", {{"value", 1}});
  const Assignment dropped = stage("value", {{"value", 2}});
  supervisor().start(0, retracted);
  supervisor().start(0, dropped);
  EXPECT_EQ(supervisor().queued(0), 3u);
  supervisor().retract(retracted.attempt());
  supervisor().retract(retracted.attempt());
  supervisor().kill(dropped.attempt());
  std::set<std::string> seen;
  for (const Report& each : finish()) {
    seen.insert(each.attempt);
    if (each.attempt == dropped.attempt() || each.attempt == retracted.attempt()) {
      EXPECT_EQ(each.kind, ReportKind::kFailed) << "it never started";
      EXPECT_EQ(each.error, ErrorKind::kLost);
    }
  }
  EXPECT_TRUE(seen.contains(dropped.attempt()));
  EXPECT_TRUE(seen.contains(retracted.attempt()));
}

TEST_F(SupervisorTest, an_executor_that_somebody_kills_is_lost) {
  supervisor().start(0, stage("sleep", {{"seconds", 20}}));
  wait_for(ReportKind::kProgress);
  ::kill(executor_pid(), SIGKILL);
  const Report end = wait_for(ReportKind::kFailed);
  EXPECT_EQ(end.error, ErrorKind::kLost);
  EXPECT_THAT(end.message, HasSubstr("signal 9"));
}

TEST_F(SupervisorTest, close_stops_all_and_lets_executors_leave) {
  supervisor().start(0, stage("long", {{"steps", 1000}, {"step_s", 0.02}}));
  supervisor().start(0, stage("value"));
  supervisor().start(1, stage("value", {{"value", 5}}));
  wait_for(ReportKind::kCheckpoint);
  int lost = 0;
  for (const Report& each : supervisor().close(5)) lost += each.kind == ReportKind::kFailed;
  EXPECT_EQ(lost, 2);
  EXPECT_THAT(supervisor().descriptors(), IsEmpty());
}

TEST_F(SupervisorTest, an_extra_descriptor_ends_the_wait) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "x", 1), 1);
  pollfd extra{ends[0], POLLIN, 0};
  const double start = monotonic_seconds();
  supervisor().poll(5, {&extra, 1});
  EXPECT_LT(monotonic_seconds() - start, 1);
  EXPECT_NE(extra.revents & POLLIN, 0);
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_F(SupervisorTest, providers_that_cannot_start_are_an_environment_error) {
  options.providers["absent"] = {"/no/such/provider"};
  options.providers["broken"] = {"sh", "-c", "echo cannot load libtorch >&2; exit 127"};
  options.providers["mute"] = {"sleep", "60"};
  options.providers["liar"] = {ECHO_PROVIDER};
  options.start_timeout_s = 0.5;
  const auto message = [&](const char* provider) {
    const Report end = run(stage("value", {}, 1, provider));
    EXPECT_EQ(end.error, ErrorKind::kEnvironment) << provider;
    EXPECT_EQ(end.unusable, options.providers.contains(provider)) << "no fault of the stage";
    return end.message;
  };
  EXPECT_THAT(message("absent"), HasSubstr("/no/such/provider: No such file"));
  EXPECT_THAT(message("broken"), HasSubstr("before it said hello; last output: cannot load "
                                           "libtorch"));
  EXPECT_THAT(message("mute"), HasSubstr("did not say hello within 0.5 s"));
  EXPECT_THAT(message("liar"), HasSubstr("calls itself 'echo'"));
  EXPECT_THAT(message("unheard of"), HasSubstr("no command is known"));
}

TEST_F(SupervisorTest, a_child_that_keeps_the_socket_open_does_not_hide_the_death_of_its_parent) {
  options.providers["leaver"] = {"sh", "-c", "sleep 30 & exit 3"};
  const double start = monotonic_seconds();
  const Report end = run(stage("value", {}, 1, "leaver"));
  EXPECT_THAT(end.message, HasSubstr("left with exit code 3"));
  EXPECT_LT(monotonic_seconds() - start, 5);
}

TEST_F(SupervisorTest, a_recipe_that_fits_no_message_is_refused) {
  const Report end = run(stage("value", {{"value", std::string(1'100'000, 'x')}}));
  EXPECT_EQ(end.error, ErrorKind::kData);
  EXPECT_THAT(end.message, HasSubstr("over the limit of 1048576"));
}

TEST_F(SupervisorTest, timing_stays_in_its_run) {
  Assignment timing = stage("time");
  timing.stage.cache = CachePolicy::kRun;
  EXPECT_EQ(run(timing).kind, ReportKind::kPublished);
  EXPECT_TRUE(store.lookup(timing.stage.key, "run-1"));
  EXPECT_FALSE(store.lookup(timing.stage.key));
}

TEST_F(SupervisorTest, a_figure_that_is_no_number_costs_the_stage_and_no_executor) {
  for (const char* provider : {"echo", "echo-py"}) {
    const Report made = run(stage("value", {{"value", 1}}, 1, provider));
    EXPECT_EQ(made.kind, ReportKind::kPublished);
    store.remove(made.key);  // else the second provider's is found
    const Report end = run(stage("garbage", {{"how", "nan_result"}}, 1, provider));
    EXPECT_EQ(end.kind, ReportKind::kFailed);
    EXPECT_EQ(end.error, ErrorKind::kMethod);
    EXPECT_THAT(end.message, HasSubstr("result.metrics.echo_value is NaN"));
  }
}

TEST_F(SupervisorTest, preparation_is_charged_to_no_stage) {
  options.slots = {{"here/0.0", {{"ECHO_PREPARE_S", "1.2"}}}};
  for (const char* provider : {"echo", "echo-py"}) {
    const double before = monotonic_seconds();
    const Report end = run(stage("value", {{"value", 2}}, 1, provider));
    EXPECT_EQ(end.kind, ReportKind::kPublished);
    store.remove(end.key);  // else the second provider's is found
    EXPECT_GT(monotonic_seconds() - before, 1.2);
    EXPECT_LT(end.record.ended_unix_s - end.record.started_unix_s, 1.0) << provider;
  }
}

class Garbage : public SupervisorTest {};

TEST_P(Garbage, costs_one_attempt_and_hangs_nobody) {
  options.stall_timeout_s = 5;
  const Report end = run(stage("garbage", {{"how", GetParam()}}));
  EXPECT_EQ(end.kind, ReportKind::kFailed);
  EXPECT_THAT(end.error, AnyOf(ErrorKind::kCrash, ErrorKind::kData));
  EXPECT_FALSE(end.message.empty());
  EXPECT_TRUE(is_utf8(end.message)) << "status.json could not hold it";
  EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished);
}

INSTANTIATE_TEST_SUITE_P(Each, Garbage,
                         ::testing::Values("not_json", "binary", "invalid_utf8", "unknown_type",
                                           "wrong_type", "missing_field", "too_long",
                                           "endless_line", "downward", "bad_result", "closed"),
                         [](const auto& which) { return std::string(which.param); });

}  // namespace
}  // namespace assay::supervise
