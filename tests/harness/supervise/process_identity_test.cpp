#include "harness/supervise/process_identity.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/supervise/host.h"

namespace assay::supervise {
namespace {

// A child that waits to be ended.
class Child {
 public:
  Child() : pid_(::fork()) {
    if (pid_ == 0) {
      ::signal(SIGTERM, SIG_DFL);
      for (;;) ::pause();
    }
  }
  ~Child() { end(); }
  ProcessIdentity identity() const {
    ProcessIdentity process = this_process();
    process.pid = pid_;
    process.started = process_start(pid_);
    return process;
  }
  int end() {
    int status = 0;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, &status, 0);
    return status;
  }
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return status;
  }

 private:
  pid_t pid_;
};

TEST(process_identity, tells_the_living_from_the_dead_and_the_distant) {
  EXPECT_EQ(liveness_of(this_process()), Liveness::kAlive);
  ProcessIdentity reused = this_process();
  reused.started += 1;
  EXPECT_EQ(liveness_of(reused), Liveness::kGone);
  ProcessIdentity elsewhere = this_process();
  elsewhere.pid_namespace = "1";
  EXPECT_EQ(liveness_of(elsewhere), Liveness::kElsewhere);
  EXPECT_EQ(liveness_of(ProcessIdentity{}), Liveness::kElsewhere);
}

TEST(process_identity, comes_back_from_json_or_not_at_all) {
  EXPECT_EQ(process_identity_from(to_json(this_process())), this_process());
  for (const char* member : {"host", "boot_id", "pid", "started"}) {
    Json json = to_json(this_process());
    json.erase(member);
    EXPECT_FALSE(process_identity_from(json)) << member;
  }
  Json json = to_json(this_process());
  for (const Json& pid : {Json(0), Json(-1), Json(std::int64_t{1} << 40), Json("x")}) {
    json["pid"] = pid;
    EXPECT_FALSE(process_identity_from(json)) << pid;
  }
  EXPECT_FALSE(process_identity_from(Json::array()));
}

TEST(process_identity, a_signal_reaches_that_process_only) {
  Child child;
  ProcessIdentity other = child.identity();
  other.started += 1;
  EXPECT_FALSE(send_signal(other, SIGTERM));
  EXPECT_EQ(::waitpid(other.pid, nullptr, WNOHANG), 0) << "it lives";
  EXPECT_TRUE(send_signal(child.identity(), SIGTERM));
  const int status = child.wait();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

}  // namespace
}  // namespace assay::supervise
