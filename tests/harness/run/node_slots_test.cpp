#include "harness/run/node_slots.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "tests/support/refusal.h"

namespace assay::run {
namespace {

using assay::testing::refusal;

// The variables that a launcher sets; gone again after each test.
class SlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kVariables) ::unsetenv(name);
  }
  void TearDown() override { SetUp(); }

  static std::vector<std::string> gpus_of(int local_rank, int local_size) {
    std::vector<std::string> gpus;
    for (const auto& slot : slots_of_this_node({.device = "cuda",
                            .rank = local_rank,
                            .local_rank = local_rank,
                            .local_size = local_size})
                                .options) {
      gpus.push_back(slot.environment.at("CUDA_VISIBLE_DEVICES"));
    }
    return gpus;
  }

  static constexpr const char* kVariables[] = {"CUDA_VISIBLE_DEVICES", "SLURM_PROCID",
                                               "SLURM_GPUS_PER_TASK", "SLURM_TRES_PER_TASK",
                                               "OMPI_COMM_WORLD_SIZE"};
};

TEST_F(SlotsTest, ranks_of_a_node_divide_its_gpus) {
  ::setenv("CUDA_VISIBLE_DEVICES", "0,1,2", 1);
  EXPECT_THAT(gpus_of(0, 2), ::testing::ElementsAre("0", "2"));
  EXPECT_THAT(gpus_of(1, 2), ::testing::ElementsAre("1"));
}

TEST_F(SlotsTest, a_task_that_slurm_gave_gpus_of_its_own_takes_all_that_it_sees) {
  ::setenv("CUDA_VISIBLE_DEVICES", "0", 1);
  ::setenv("SLURM_PROCID", "1", 1);
  EXPECT_THROW(gpus_of(1, 2), Error) << "the node's list has one";
  for (const char* count : {"1", "a100:1"}) {
    ::setenv("SLURM_GPUS_PER_TASK", count, 1);
    EXPECT_THAT(gpus_of(1, 2), ::testing::ElementsAre("0")) << count;
  }
  ::unsetenv("SLURM_GPUS_PER_TASK");
  ::setenv("SLURM_TRES_PER_TASK", "cpu:2,gres:gpu:1", 1);
  EXPECT_THAT(gpus_of(1, 2), ::testing::ElementsAre("0"));
  ::setenv("OMPI_COMM_WORLD_SIZE", "2", 1);  // mpirun inside of a job: its ranks share the list
  EXPECT_THROW(gpus_of(1, 2), Error);
}

TEST_F(SlotsTest, no_gpu_is_told_with_what_was_looked_at) {
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  EXPECT_THAT(refusal([] { gpus_of(0, 1); }),
              ::testing::AllOf(::testing::StartsWith("environment: "),
                               ::testing::HasSubstr("CUDA_VISIBLE_DEVICES")));
}

}  // namespace
}  // namespace assay::run
