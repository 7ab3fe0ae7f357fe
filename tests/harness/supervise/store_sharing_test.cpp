#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "harness/base/error.h"
#include "harness/supervise/host.h"
#include "tests/harness/supervise/store_fixture.h"
#include "tests/support/refusal.h"

// A store that other processes and nodes use too, or should.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class SharedStoreTest : public StoreTest {
 protected:
  void expect_shared(const Store& mine) {
    const double until_s = monotonic_seconds() + 5;
    while (!mine.shared() && monotonic_seconds() < until_s) ::usleep(20'000);
    EXPECT_TRUE(mine.shared());
  }
  const fs::path another = root() / "tmp" / "elsewhere.1.2.3";
};

TEST_F(SharedStoreTest, is_one_in_which_another_process_is_at_work) {
  store.output_folder("a.1");
  EXPECT_FALSE(store.shared());
  fs::create_directories(another);
  expect_shared(store);
}

TEST_F(SharedStoreTest, is_one_in_which_another_process_was_at_work_before_this_one) {
  fs::create_directories(another);
  const Store mine(root());
  expect_shared(mine);
}

TEST_F(SharedStoreTest, remembers_a_process_that_has_come_and_gone) {
  store.output_folder("a.1");
  EXPECT_FALSE(store.shared());
  ::usleep(20'000);  // times of files are those of the last tick of the clock
  fs::create_directories(another);
  fs::remove(another);
  expect_shared(store);
}

TEST_F(SharedStoreTest, remembers_one_that_has_come_and_gone_before_its_own_first_stage) {
  ::usleep(20'000);
  fs::create_directories(another);
  fs::remove(another);
  store.output_folder("a.1");
  expect_shared(store);
}

TEST_F(StoreTest, a_store_that_is_not_shared_is_refused) {
  const std::string nonce = store.write_nonce();
  Store(root()).check_nonce(nonce, 0);
  const Store other(folder.path() / "elsewhere");
  EXPECT_THAT(refusal([&] { other.check_nonce(nonce, 0); }),
              AllOf(StartsWith("environment: "),
                    HasSubstr("set ASSAY_STORE to a folder that all nodes share")));
  store.remove_nonce(nonce);
  EXPECT_THROW(store.check_nonce(nonce, 0), Error);
}

}  // namespace
}  // namespace assay::supervise
