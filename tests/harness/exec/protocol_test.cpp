#include <gmock/gmock.h>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/contract/artifact_files.h"
#include "harness/contract/catalogue.h"
#include "tests/harness/exec/child.h"

namespace assay::exec {
namespace {

using protocol::Message;
using protocol::Type;
using testing::HasSubstr;

// A probe that has said hello.
class Probe : public testing::Test {
 protected:
  Probe() : child(PROBE_PROGRAM) { hello = child.wait_for(Type::kHello); }

  void expect_failure(const Message& message, const std::string& kind, const std::string& text) {
    ASSERT_EQ(message.type, Type::kFailed);
    EXPECT_EQ(message.failure.kind, kind);
    EXPECT_THAT(message.failure.message, HasSubstr(text));
    EXPECT_EQ(message.attempt, "a.1");
  }

  Child child;
  Message hello;
};

TEST_F(Probe, says_hello_first_with_its_protocol_and_process) {
  EXPECT_EQ(hello.type, Type::kHello);
  EXPECT_EQ(hello.version, protocol::kVersion);
  EXPECT_EQ(hello.provider, "assay");
  EXPECT_GT(hello.pid, 0);
}

TEST_F(Probe, writes_its_catalogue_where_it_is_told) {
  Message describe;
  describe.type = Type::kDescribe;
  describe.path = child.folder / "catalogue.json";
  child.send(describe);
  EXPECT_EQ(child.wait_for(Type::kDescribed).path, describe.path);
  const Catalogue catalogue = catalogue_from(parse_json(read_file(describe.path), "catalogue"));
  EXPECT_NE(catalogue.find_stage("echo"), nullptr);
  EXPECT_EQ(catalogue.numerics.at("libtorch"), "2.15");
}

TEST_F(Probe, runs_a_stage_makes_its_folder_and_reports_where_it_ran) {
  const Message done = child.run("echo", 42);
  ASSERT_EQ(done.type, Type::kDone);
  EXPECT_EQ(done.attempt, "a.1");
  EXPECT_EQ(done.result.at("metrics").at("answer"), 42);
  EXPECT_EQ(done.result.at("environment").at("threads"), 1);
  EXPECT_GT(done.result.at("environment").at("peak_rss_bytes"), 0);
  EXPECT_THAT(done.result.at("environment").at("mkl"), ::testing::AnyOf("intel", "other"));
  EXPECT_TRUE(std::filesystem::exists(child.folder / "out" / "echo.json"));
  bool alive = false;
  bool metric = false;
  for (const Message& each : child.seen) {
    alive = alive || (each.type == Type::kAlive && each.attempt == "a.1");
    metric = metric || (each.type == Type::kMetric && each.name == "loss");
  }
  EXPECT_TRUE(alive);
  EXPECT_TRUE(metric);
}

TEST_F(Probe, goes_on_after_a_stage_that_failed) {
  expect_failure(child.run("fails", "data"), "data", "bad file");
  expect_failure(child.run("fails", "std"), "method", "did not converge");
  expect_failure(child.run("fails", "torch"), "method", "mat1");
  expect_failure(child.run("fails", "int"), "method", "unknown type");
  EXPECT_EQ(child.run("echo", 1).type, Type::kDone);
}

TEST_F(Probe, calls_running_out_of_memory_oom) {
  expect_failure(child.run("fails", "alloc"), "oom", "memory");
  expect_failure(child.run("fails", "torch_memory"), "oom", "memory");
}

TEST_F(Probe, keeps_context_of_an_error_unless_it_does_not_fit) {
  EXPECT_EQ(child.run("fails", "data").failure.context.at("file"), "x.bin");
  const Message failed = child.run("fails", "long");
  expect_failure(failed, "method", "long");
  EXPECT_TRUE(failed.failure.context.empty());
}

TEST_F(Probe, refuses_an_unknown_stage_with_the_nearest_name) {
  expect_failure(child.run("ecko", 1), "config", "did you mean 'echo'");
}

TEST_F(Probe, refuses_an_undeclared_input) {
  expect_failure(child.run("asks", 1), "config", "no input 'tokens'");
}

TEST_F(Probe, refuses_an_input_that_is_not_what_was_published) {
  const std::filesystem::path artifact = child.folder / "artifact";
  std::filesystem::create_directories(artifact);
  Json result = {{"key", "k"},
                 {"files", {{"tokens.bin", 3}}},
                 {"digests", {{"tokens.bin", sha256("abc")}}}};
  write_file_atomically(artifact / "result.json", published_text(result));
  write_file_atomically(artifact / "tokens.bin", "abc");
  child.inputs["tokens"] = artifact.string();
  EXPECT_EQ(child.run("asks", 1).type, Type::kDone);
  write_file_atomically(artifact / "tokens.bin", "abd");
  expect_failure(child.run("asks", 1), "data", "tokens.bin is damaged");
  write_file_atomically(artifact / "tokens.bin", "abc");
  EXPECT_EQ(child.run("asks", 1).type, Type::kDone);
}

TEST_F(Probe, refuses_a_result_that_is_too_long_or_not_finite) {
  expect_failure(child.run("too_long", 1), "data", "over the limit");
  expect_failure(child.run("not_finite", 1), "method", "metric 'top1' is nan");
}

TEST_F(Probe, refuses_a_device_that_it_does_not_offer) {
  Message run;
  run.type = Type::kRun;
  run.run.attempt = "a.1";
  run.run.stage = "echo";
  run.run.key = "k";
  run.run.recipe = {{"numerics", {{"device", "cuda"}}}};
  child.send(run);
  expect_failure(child.wait_for(Type::kDone), "unsupported", "cuda");
}

TEST_F(Probe, writes_a_checkpoint_when_stopped_and_resumes_from_it) {
  child.start("count", 10'000);
  ASSERT_EQ(child.wait_for(Type::kProgress).type, Type::kProgress);
  Message stop;
  stop.type = Type::kStop;
  stop.attempt = "a.1";
  stop.grace_s = 5;
  child.send(stop);
  const Message checkpoint = child.wait_for(Type::kCheckpoint);
  ASSERT_EQ(checkpoint.type, Type::kCheckpoint);
  expect_failure(child.wait_for(Type::kDone), "lost", "checkpoint");
  // Less is left than was done: only a stage that resumes can end at the same count this fast.
  const Message done = child.run("count", checkpoint.step + 5, "a.2");
  EXPECT_EQ(done.attempt, "a.2");
  EXPECT_EQ(done.result.at("metrics").at("count"), checkpoint.step + 5);
}

TEST_F(Probe, a_stop_for_another_attempt_does_not_stop_this_one) {
  child.start("count", 300);
  child.wait_for(Type::kProgress);
  Message stop;
  stop.type = Type::kStop;
  stop.attempt = "a.0";
  child.send(stop);
  EXPECT_EQ(child.wait_for(Type::kDone).type, Type::kDone);
}

TEST_F(Probe, reports_progress_at_most_twice_a_second) {
  child.run("count", 1200);
  int count = 0;
  for (const Message& each : child.seen) count += each.type == Type::kProgress ? 1 : 0;
  EXPECT_GE(count, 2);
  EXPECT_LE(count, 20);  // of 1200 calls in 1.2 s or, on a busy machine, a few seconds
}

TEST_F(Probe, keeps_values_between_stages) {
  EXPECT_EQ(child.run("keeps", "vit").result.at("metrics").at("made"), 1);
  EXPECT_EQ(child.run("keeps", "vit").result.at("metrics").at("made"), 0);
}

TEST_F(Probe, runs_a_stage_that_was_queued_during_another) {
  child.start("count", 50, "a.1");
  child.start("echo", 7, "b.1");
  EXPECT_EQ(child.wait_for(Type::kDone).attempt, "a.1");
  EXPECT_EQ(child.wait_for(Type::kDone).attempt, "b.1");
}

TEST_F(Probe, exits_with_0_when_told_and_at_the_end_of_the_stream) {
  Message bye;
  bye.type = Type::kExit;
  child.send(bye);
  EXPECT_EQ(child.exit_code(), 0);
  Child other(PROBE_PROGRAM);
  other.wait_for(Type::kHello);
  other.close_stream();
  EXPECT_EQ(other.exit_code(), 0);
}

TEST_F(Probe, leaves_with_4_after_a_malformed_message) {
  for (const char* text : {"{\"type\": \"run\"", "{}\n", "{\"type\": \"ruin\"}\n",
                           "{\"type\": \"run\", \"attempt\": 3}\n", "\xff\xfe\n",
                           "{\"type\": \"alive\", \"attempt\": \"a.1\"}\n"}) {
    Child other(PROBE_PROGRAM);
    other.wait_for(Type::kHello);
    other.send_text(text);
    if (std::string(text).back() != '\n') other.send_text("\n");
    EXPECT_EQ(other.exit_code(), 4) << text;
  }
}

TEST_F(Probe, leaves_with_4_after_a_line_that_never_ends) {
  child.send_text(std::string(protocol::kMaxLineBytes + 1, 'x'));
  EXPECT_EQ(child.exit_code(), 4);
}

TEST(BuiltIn, describes_a_catalogue_in_which_every_reference_resolves) {
  Child child(EXECUTOR_PROGRAM);
  child.wait_for(Type::kHello);
  Message describe;
  describe.type = Type::kDescribe;
  describe.path = child.folder / "catalogue.json";
  child.send(describe);
  child.wait_for(Type::kDescribed);
  const Json json = parse_json(read_file(describe.path), "catalogue");
  const Catalogue catalogue = catalogue_from(json);
  EXPECT_EQ(to_json(catalogue), json);
  EXPECT_EQ(catalogue.provider, "assay");
}

}  // namespace
}  // namespace assay::exec
