#include "harness/base/atomic_file.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "harness/base/digest.h"
#include "harness/formats/safetensors_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class AtomicFileTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(AtomicFileTest, what_was_written_is_read) {
  write_file_atomically(folder_ / "a", "text");
  EXPECT_EQ(read_file(folder_ / "a"), "text");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
}

TEST_F(AtomicFileTest, what_a_killed_process_of_the_same_number_left_is_no_obstacle) {
  for (int i = 0; i < 100; ++i) {
    std::ofstream(folder_ / fmt::format(".new.{}.{}", ::getpid(), i)) << "left";
  }
  write_file_atomically(folder_ / "new", "content");
  EXPECT_EQ(read_file(folder_ / "new"), "content");
}

// Opening a pipe waits for a writer who never comes.
TEST_F(AtomicFileTest, a_pipe_is_refused_at_once) {
  const auto pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto expected = AllOf(StartsWith("data: "), HasSubstr("regular file"));
  EXPECT_THAT(refusal([&] { read_file(pipe); }), expected);
  EXPECT_THAT(refusal([&] { sha256_file(pipe); }), expected);
  EXPECT_THAT(refusal([&] { SafetensorsFile file(pipe); }), expected);
}

TEST_F(AtomicFileTest, a_device_without_end_is_refused) {
  const auto expected = AllOf(StartsWith("data: "), HasSubstr("regular file"));
  EXPECT_THAT(refusal([] { read_file("/dev/zero"); }), expected);
  EXPECT_THAT(refusal([] { sha256_file("/dev/zero"); }), expected);
}

}  // namespace
}  // namespace assay
