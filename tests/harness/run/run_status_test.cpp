#include "harness/run/run_status.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/supervise/host.h"

namespace assay::run {
namespace {

RunStatus running() {
  RunStatus status;
  status.state = "running";
  status.process = supervise::this_process();
  status.host = status.process->host;
  status.pid = ::getpid();
  status.updated_unix_s = 1000;
  return status;
}

TEST(run_status, of_a_live_process_is_live_however_old) {
  EXPECT_EQ(liveness_of(running(), 1e6), RunLiveness::kLive);
}

TEST(run_status, of_a_number_that_is_used_again_is_gone) {
  RunStatus status = running();
  status.process->started += 1;
  EXPECT_EQ(liveness_of(status, 1001), RunLiveness::kGone);
}

TEST(run_status, of_another_machine_is_silent_after_two_minutes) {
  RunStatus status = running();
  status.process->boot_id = "another";
  EXPECT_EQ(liveness_of(status, 1100), RunLiveness::kLive);
  EXPECT_EQ(liveness_of(status, 1130), RunLiveness::kSilent);
}

TEST(run_status, that_says_so_has_ended) {
  RunStatus status = running();
  status.state = "stopped";
  EXPECT_EQ(liveness_of(status, 1e6), RunLiveness::kEnded);
}

TEST(run_status, of_an_older_version_goes_by_host_and_number) {
  RunStatus status = running();
  status.process.reset();
  EXPECT_EQ(liveness_of(status, 1e6), RunLiveness::kLive);
  status.pid = 1 << 30;
  EXPECT_EQ(liveness_of(status, 1001), RunLiveness::kGone);
  EXPECT_FALSE(run_status_from(to_json(status)).process);
  EXPECT_EQ(run_status_from(to_json(running())).process, supervise::this_process());
}

}  // namespace
}  // namespace assay::run
