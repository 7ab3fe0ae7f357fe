#include "harness/run/batch_job.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "harness/supervise/host.h"
#include "tests/support/temporary_folder.h"

namespace assay::run {
namespace {

TEST(squeue, times_left_are_days_hours_minutes_seconds) {
  EXPECT_EQ(seconds_from_squeue("59:30\n"), 3570);
  EXPECT_EQ(seconds_from_squeue("  2:03:04"), 2 * 3600 + 184);
  EXPECT_EQ(seconds_from_squeue("1-02:03:04"), 86400 + 2 * 3600 + 184);
  EXPECT_EQ(seconds_from_squeue("0:00"), 0);
  for (const char* other : {"", "UNLIMITED", "NOT_SET", "INVALID", "5", "1:2:3:4", "-1:00", "1-"}) {
    EXPECT_FALSE(seconds_from_squeue(other)) << other;
  }
}

class BatchJobTest : public ::testing::Test {
 protected:
  void SetUp() override { leave(); }
  void TearDown() override { leave(); }
  void leave() {
    for (const char* name : {"SLURM_JOB_END_TIME", "SLURM_JOB_ID"}) ::unsetenv(name);
  }
  // A squeue that answers so, in front of whatever is installed.
  void squeue(const std::string& body) {
    const auto program = folder.path() / "squeue";
    std::ofstream(program) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    ::setenv("PATH", (folder.path().string() + ":" + path).c_str(), 1);
  }

  TemporaryFolder folder;
  const std::string path = ::getenv("PATH");
};

TEST_F(BatchJobTest, outside_a_job_there_is_no_end) { EXPECT_FALSE(batch_job_remaining_s()); }

TEST_F(BatchJobTest, the_end_stands_in_the_environment) {
  ::setenv("SLURM_JOB_END_TIME", std::to_string(supervise::unix_seconds() + 100).c_str(), 1);
  EXPECT_NEAR(batch_job_remaining_s().value_or(-1), 100, 5);
  ::setenv("SLURM_JOB_END_TIME", "1", 1);
  EXPECT_EQ(batch_job_remaining_s(), 0);
}

TEST_F(BatchJobTest, an_older_slurm_is_asked) {
  squeue("[ \"$*\" = '-h -j 42 -o %L' ] && echo 10:00");
  ::setenv("SLURM_JOB_ID", "42", 1);
  EXPECT_EQ(batch_job_remaining_s(), 600);
  ::setenv("SLURM_JOB_ID", "42; echo 1:00", 1);
  EXPECT_FALSE(batch_job_remaining_s());
}

TEST_F(BatchJobTest, no_answer_is_no_end) {
  squeue("exit 1");
  ::setenv("SLURM_JOB_ID", "42", 1);
  EXPECT_FALSE(batch_job_remaining_s());
}

}  // namespace
}  // namespace assay::run
