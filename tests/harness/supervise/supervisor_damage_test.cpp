#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "tests/harness/supervise/supervisor_fixture.h"
#include "tests/support/refusal.h"

// Stages whose inputs rot, whose folders vanish, that are suspended, and that leave what cannot be
// published.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kDamageStart = R"(
import json, os, shutil, socket, sys
s = socket.socket(fileno=3)
def say(**message): s.sendall((json.dumps(message) + "\n").encode())
say(type="hello", protocol=1, provider="odd", pid=os.getpid())
run = json.loads(s.makefile().readline())
output = run["output"]
)";
constexpr const char* kDone = R"(
say(type="done", attempt=run["attempt"], result={})
s.recv(1)
)";

class DamageTest : public SupervisorTest {
 protected:
  // Changes a byte as a bad disk does: size and times stay.
  static void rot(const fs::path& file) {
    struct stat before {};
    ASSERT_EQ(::stat(file.c_str(), &before), 0);
    std::string content = read_file(file);
    content.back() = static_cast<char>(~content.back());
    write_file_atomically(file, content);
    const timespec times[2] = {before.st_atim, before.st_mtim};
    ::utimensat(AT_FDCWD, file.c_str(), times, 0);
  }

  // One that reads the artifact of another.
  Assignment reader_of(const Report& made) {
    Assignment one = stage("measure");
    one.stage.inputs = {{"network", made.key}};
    one.inputs["network"] = made.artifact.path.string();
    return one;
  }

  Report run_script(const std::string& script) {
    options.providers["odd"] = {"python3", "-c", kDamageStart + script + kDone};
    return run(stage("value", {}, 1, "odd"));
  }

  void expect_own_fault(const Report& end, const std::string& text) {
    EXPECT_EQ(end.kind, ReportKind::kFailed);
    EXPECT_EQ(end.error, ErrorKind::kData) << end.message;
    EXPECT_THAT(end.message, HasSubstr(text));
    EXPECT_EQ(run(stage("value")).kind, ReportKind::kPublished) << "others go on";
  }
};

TEST_F(DamageTest, an_input_that_rotted_under_its_seal_is_put_aside) {
  const Report made = run(stage("file", {{"samples", 100}}));
  ASSERT_EQ(made.kind, ReportKind::kPublished);
  rot(made.artifact.path / "samples.safetensors");
  ASSERT_TRUE(store.lookup(made.key)) << "by sizes and times it is whole";
  const Report end = run(reader_of(made));
  EXPECT_EQ(end.error, ErrorKind::kLost);
  EXPECT_THAT(end.lost_inputs, ElementsAre(made.key));
  EXPECT_THAT(end.message, HasSubstr("is damaged: it does not hold what was published"));
  EXPECT_FALSE(fs::exists(made.artifact.path)) << "it would be found for ever";
}

TEST_F(DamageTest, a_failure_that_names_a_sound_input_stays_the_stages) {
  const Report made = run(stage("file", {{"samples", 100}}));
  Assignment one = stage("fail", {{"message", made.artifact.path.string() + ": too few samples"}});
  one.stage.inputs = {{"network", made.key}};
  one.inputs["network"] = made.artifact.path.string();
  const Report end = run(one);
  EXPECT_EQ(end.error, ErrorKind::kMethod);
  EXPECT_TRUE(fs::exists(made.artifact.path));
}

TEST_F(DamageTest, checkpoints_that_others_remove_are_no_fault_of_the_stage) {
  const Assignment one = stage("long", {{"steps", 1000}, {"step_s", 0.02}}, 1, "echo-py");
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  fs::remove_all(store.root() / "partial");
  const Report end = wait_for(ReportKind::kFailed);
  EXPECT_EQ(end.error, ErrorKind::kIo) << end.message;
  EXPECT_THAT(end.message, HasSubstr("which the stage was given, was removed while it ran; it had "
                                     "failed with: "));
}

// It is no fault of the stage, nor of its executor: the run ends and says so.
TEST_F(DamageTest, a_store_that_cannot_be_written_is_told_as_such) {
  supervisor().start(0, stage("file", {{"samples", 10}}));
  fs::remove_all(store.root() / "objects");
  std::ofstream(store.root() / "objects") << "in its place";
  EXPECT_THAT(refusal([&] { wait_for(ReportKind::kFailed); }),
              AllOf(StartsWith("io: "), HasSubstr("store: cannot")))
      << "the stage was blamed";
}

TEST_F(DamageTest, nor_those_of_one_stage) {
  const Assignment one = stage("long", {{"steps", 1000}, {"step_s", 0.02}}, 1, "echo-py");
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  fs::remove_all(store.root() / "partial" / one.stage.key.str());
  EXPECT_EQ(wait_for(ReportKind::kFailed).error, ErrorKind::kIo);
}

TEST_F(DamageTest, nor_those_of_one_run) {
  const Assignment one = stage("long", {{"steps", 1000}, {"step_s", 0.02}}, 1, "echo-py");
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  for (const auto& each : fs::directory_iterator(store.root() / "partial" / one.stage.key.str()))
    fs::remove_all(each.path());
  EXPECT_EQ(wait_for(ReportKind::kFailed).error, ErrorKind::kIo);
}

TEST_F(DamageTest, a_stage_whose_files_vanish_with_the_folder_of_all_is_tried_again) {
  const Assignment one = stage("sleep", {{"seconds", 0.3}});
  supervisor().start(0, one);
  wait_for_start(one);
  fs::remove_all(store.root() / "tmp");
  const Report end = wait_for(ReportKind::kFailed);
  EXPECT_EQ(end.error, ErrorKind::kIo) << end.message;
  const Report next = run(stage("file", Json::object(), 2));
  EXPECT_EQ(next.kind, ReportKind::kPublished) << next.message;
}

TEST_F(DamageTest, a_folder_called_result_json_fails_its_stage_only) {
  expect_own_fault(run_script(R"(os.makedirs(output + "/result.json")
open(output + "/x", "w").close())"),
                   "result.json is written by the supervisor");
}

TEST_F(DamageTest, a_stage_that_removes_the_folder_of_its_output_fails_alone) {
  expect_own_fault(run_script("shutil.rmtree(os.path.dirname(output))"), "removed the folder");
}

TEST_F(DamageTest, a_pause_of_the_whole_job_counts_against_no_limit) {
  options.stall_timeout_s = 1;
  options.stage_timeout_s = 3;
  const Assignment one = stage("long", {{"steps", 20}, {"step_s", 0.05}});
  supervisor().start(0, one);
  wait_for(ReportKind::kCheckpoint);
  const pid_t executor = executor_pid();
  ::kill(executor, SIGSTOP);
  ::sleep(4);  // nor does this process look at anything
  supervisor().poll(0);
  ::kill(executor, SIGCONT);
  const Report end = wait_for(ReportKind::kPublished);
  EXPECT_EQ(end.attempt, one.attempt());
}

TEST_F(DamageTest, files_that_change_after_done_fail_their_stage_only) {
  const Assignment one = stage("x");
  Finished made{one.stage.key, "", {{"key", one.stage.key}, {"metrics", Json::object()}}, ""};
  made.files = store.output_folder(one.attempt());
  made.result["files"] = {{"gone.bin", 3}};
  fs::create_directories(made.files);
  EXPECT_THAT(refusal([&] { store.prepared(made); }),
              HasSubstr("data: the files that the stage made cannot be published"));
}

}  // namespace
}  // namespace assay::supervise
