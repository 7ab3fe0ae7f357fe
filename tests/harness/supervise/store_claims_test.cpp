#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/supervise/host.h"
#include "harness/supervise/marked_processes.h"
#include "harness/supervise/store.h"
#include "harness/supervise/store_layout.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

// A store under several processes: claims, checkpoints, what is dropped and what stays.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::HasSubstr;

class ClaimTest : public ::testing::Test {
 protected:
  static void age(const fs::path& path, double seconds) {
    const double then = unix_seconds() - seconds;
    const timespec times[2] = {{static_cast<time_t>(then), 0}, {static_cast<time_t>(then), 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  void claim_as(const std::string& run, const std::string& owner) {
    fs::create_directories(partial());
    fs::create_symlink(run + "@" + owner, partial() / "claim");
  }
  fs::path partial() const { return store.root() / "partial" / key; }
  void publish(const std::string& name) {
    const Finished made{name, "", {{"stage", "x"}, {"key", name}, {"metrics", Json::object()}}, ""};
    store.publish({&made, 1});
  }

  // What this process does as two runs counts as long as another one seems to be there.
  static void share(const fs::path& store) {
    fs::create_directories(store / "tmp" / "elsewhere.9.9.9");
  }

  TemporaryFolder folder;
  Store store{folder.path() / "store"};
  Store other{folder.path() / "store"};
  const std::string key = sha256("key");
};

TEST_F(ClaimTest, checkpoints_that_lay_in_the_store_when_it_was_opened_are_found_by_a_first_attempt) {
  fs::create_directories(partial() / "one.3");
  write_file_atomically(partial() / "one.3" / "step", "5");
  EXPECT_FALSE(fs::exists(store.resume_folder(key, "two", 1))) << "they came later";
  Store next(store.root());
  EXPECT_EQ(read_file(next.resume_folder(key, "two", 1) / "step"), "5");
}

TEST_F(ClaimTest, is_held_by_one_run) {
  EXPECT_TRUE(store.claim(key, "one"));
  EXPECT_TRUE(store.claim(key, "one")) << "again";
  EXPECT_FALSE(other.claim(key, "two"));
  EXPECT_THAT(other.claimed_by_other(key, "two"), HasSubstr("run one"));
  EXPECT_EQ(other.claimed_by_other(key, "one"), "");
  store.release(key, "one");
  EXPECT_TRUE(other.claim(key, "two"));
}

TEST_F(ClaimTest, of_a_dead_process_is_taken_over) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(Store(store.root()).claim(key, "dead") ? 0 : 1);
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(fs::is_symlink(partial() / "claim"));
  EXPECT_TRUE(store.claim(key, "one"));
}

TEST_F(ClaimTest, of_another_host_lasts_as_long_as_its_process_shows_that_it_lives) {
  const fs::path their_folder = store.root() / "tmp" / "elsewhere.1.2.3";
  fs::create_directories(their_folder);
  claim_as("far", "elsewhere.1.2.3");
  EXPECT_FALSE(store.claim(key, "one"));
  age(their_folder, Store::kSilentSeconds + 10);
  EXPECT_TRUE(store.claim(key, "one"));
}

TEST_F(ClaimTest, of_another_host_that_has_left_is_free) {
  claim_as("far", "elsewhere.1.2.3");
  EXPECT_TRUE(store.claim(key, "one"));
}

TEST_F(ClaimTest, keeps_what_gc_would_drop) {
  ASSERT_TRUE(store.claim(key, "one"));
  other.gc(0);
  EXPECT_TRUE(fs::exists(partial()));
  store.release(key, "one");
  other.gc(0);
  EXPECT_FALSE(fs::exists(partial()));
}

TEST_F(ClaimTest, beats_show_that_a_process_lives) {
  const fs::path mine = store.output_folder("k.1").parent_path().parent_path();
  age(mine, 8 * 86400);
  store.beat();
  struct stat status {};
  ASSERT_EQ(::stat(mine.c_str(), &status), 0);
  EXPECT_LT(unix_seconds() - static_cast<double>(status.st_mtim.tv_sec), 60);
}

TEST_F(ClaimTest, checkpoints_move_on_to_the_next_attempt_and_to_a_run_that_follows) {
  share(store.root());
  const fs::path first = store.resume_folder(key, "one", 1);
  fs::create_directories(first);
  write_file_atomically(first / "step", "7");
  const fs::path second = store.resume_folder(key, "one", 2);
  EXPECT_NE(first, second) << "an attempt that was given up may still write";
  EXPECT_FALSE(fs::exists(first));
  EXPECT_EQ(read_file(second / "step"), "7");

  EXPECT_FALSE(fs::exists(other.resume_folder(key, "two", 1))) << "it has not come to its claim";
  store.leave_checkpoints(second);
  ASSERT_TRUE(store.claim(key, "one"));
  EXPECT_FALSE(fs::exists(other.resume_folder(key, "two", 1))) << "it is at work";
  store.release(key, "one");
  EXPECT_EQ(read_file(other.resume_folder(key, "two", 1) / "step"), "7");
}

TEST_F(ClaimTest, fresh_checkpoints_of_a_process_that_is_gone_move_on_at_once) {
  const std::string gone = fmt::format("{}.1", owner_name().substr(0, owner_name().rfind('.')));
  share(store.root());
  const fs::path theirs = partial() / ("one.1@" + gone);
  fs::create_directories(theirs);
  write_file_atomically(theirs / "step", "41");
  claim_as("one", gone);
  EXPECT_EQ(read_file(other.resume_folder(key, "two", 1) / "step"), "41");
}

TEST_F(ClaimTest, a_root_that_was_registered_since_gc_looked_counts) {
  publish(key);
  EXPECT_EQ(other.gc(0, true).objects, 1);
  store.register_root({"late", folder.path(), {key}, unix_seconds() + 100});
  EXPECT_EQ(other.gc(0).objects, 0);
  EXPECT_TRUE(store.lookup(key));
}

TEST_F(ClaimTest, what_a_starting_run_has_seen_survives_gc) {
  std::vector<std::string> keys;
  for (int i = 0; i < 300; ++i) keys.push_back(sha256(std::to_string(i)));
  for (const std::string& each : keys) publish(each);
  std::atomic<bool> started = false;
  std::thread collector([&] {
    Store mine(store.root());
    started = true;
    mine.gc(0);
  });
  while (!started) std::this_thread::yield();
  other.register_root({"run", folder.path(), {keys.begin(), keys.end()}, unix_seconds() + 100});
  std::vector<std::string> seen;
  for (const std::string& each : keys) {
    if (other.lookup(each)) seen.push_back(each);
  }
  collector.join();
  for (const std::string& each : seen) EXPECT_TRUE(other.lookup(each)) << each;
}

TEST_F(ClaimTest, a_temporary_artifact_goes_unless_another_run_that_lives_wants_it) {
  publish(key);
  store.register_root({"one", folder.path(), {key}, unix_seconds() + 100});
  other.register_root({"two", folder.path(), {key}, unix_seconds() + 100});
  EXPECT_FALSE(store.remove_unless_wanted(key, "one"));
  EXPECT_TRUE(store.lookup(key));
  other.register_root({"two", folder.path(), {key}, 0});
  EXPECT_TRUE(store.remove_unless_wanted(key, "one"));
  EXPECT_FALSE(store.lookup(key));
}

TEST_F(ClaimTest, a_file_whose_name_is_not_utf8_is_refused_before_it_is_published) {
  const fs::path files = store.output_folder("k.1");
  fs::create_directories(files);
  write_file_atomically(files / "bad\xff\xfename", "x");
  EXPECT_THAT(refusal([&] { inventory(files); }),
              HasSubstr("data: the stage made a file whose name is not UTF-8"));
}

TEST_F(ClaimTest, more_files_than_a_result_can_list_are_refused_before_they_are_published) {
  fs::path files = store.output_folder("k.1");
  const fs::path top = files;
  for (int i = 0; i < 8; ++i) files /= std::string(200, 'd');
  fs::create_directories(files);
  const std::string name(200, 'f');
  for (int i = 0; i < 5000; ++i) {
    const int fd = ::open((files / (name + std::to_string(i))).c_str(), O_CREAT | O_WRONLY, 0644);
    ASSERT_GE(fd, 0);
    ::close(fd);
  }
  EXPECT_THAT(refusal([&] { inventory(top); }),
              HasSubstr("data: the stage made more files than result.json can list"));
}

// A process that lives for a while, as if it had been started by an executor of `owner`.
pid_t started_by(const std::string& owner) {
  const std::string variable = std::string(kOwnerVariable) + "=" + owner + ":0.1";
  const pid_t pid = ::fork();
  if (pid == 0) {
    char program[] = "sleep";
    char seconds[] = "300";
    char* const words[] = {program, seconds, nullptr};
    std::string text = variable;
    char* const environment[] = {text.data(), nullptr};
    ::execvpe(program, words, environment);
    ::_exit(127);
  }
  return pid;
}

TEST_F(ClaimTest, what_a_dead_process_left_running_is_killed_at_the_next_start) {
  const pid_t child = ::fork();
  if (child == 0) {
    Store mine(store.root());
    fs::create_directories(mine.output_folder("k.1"));
    ::_exit(0);
  }
  const std::string owner = owner_name();
  std::string theirs;
  int status = 0;
  ::waitpid(child, &status, 0);
  for (const auto& entry : fs::directory_iterator(store.root() / "tmp")) {
    const std::string name = entry.path().filename().string();
    if (name != owner) theirs = name;
  }
  ASSERT_FALSE(theirs.empty());
  const pid_t left = started_by(theirs);
  const pid_t ours = started_by(owner);
  for (int i = 0; i < 200 && read_file("/proc/" + std::to_string(ours) + "/cmdline").empty(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const Store next(store.root());
  ASSERT_EQ(::waitpid(left, &status, 0), left);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT_EQ(::waitpid(ours, &status, WNOHANG), 0) << "that of a live process stays";
  ::kill(ours, SIGKILL);
  ::waitpid(ours, &status, 0);
}

}  // namespace
}  // namespace assay::supervise
