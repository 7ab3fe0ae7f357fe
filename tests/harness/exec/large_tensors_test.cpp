#include "harness/exec/large_tensors.h"

#include <gtest/gtest.h>

#include <cstring>

namespace assay::exec {
namespace {

constexpr std::size_t kMegabyte = 1 << 20;

TEST(LargeBlocks, a_freed_block_serves_the_next_tensor_of_about_its_size) {
  LargeBlocks blocks(8 * kMegabyte);
  void* const first = blocks.take(4 * kMegabyte);
  ASSERT_NE(first, nullptr);
  std::memset(first, 1, 4 * kMegabyte);
  EXPECT_TRUE(blocks.give_back(first));
  EXPECT_EQ(blocks.free_bytes(), 4 * kMegabyte);
  void* const small = blocks.take(kMegabyte);  // would waste most of it
  EXPECT_NE(small, first);
  EXPECT_EQ(blocks.take(4 * kMegabyte - 100), first);
  EXPECT_EQ(blocks.free_bytes(), 0U);
  EXPECT_TRUE(blocks.give_back(first));
  EXPECT_TRUE(blocks.give_back(small));
}

TEST(LargeBlocks, no_more_than_the_limit_is_free) {
  LargeBlocks blocks(5 * kMegabyte);
  void* const one = blocks.take(2 * kMegabyte);
  void* const two = blocks.take(3 * kMegabyte);
  void* const large = blocks.take(6 * kMegabyte);
  blocks.give_back(one), blocks.give_back(two);
  EXPECT_EQ(blocks.free_bytes(), 5 * kMegabyte);
  blocks.give_back(large);  // larger than all that may be free: the others stay
  EXPECT_EQ(blocks.free_bytes(), 5 * kMegabyte);
  blocks.give_back(blocks.take(kMegabyte));
  EXPECT_EQ(blocks.free_bytes(), 4 * kMegabyte);  // the oldest went
}

TEST(LargeBlocks, free_blocks_add_little_to_the_most_that_was_taken) {
  LargeBlocks blocks(1000 * kMegabyte);
  blocks.give_back(blocks.take(100 * kMegabyte));
  blocks.give_back(blocks.take(200 * kMegabyte));  // 100 free and 200 taken: more than 200 + 64 MB
  EXPECT_EQ(blocks.free_bytes(), 200 * kMegabyte);
  blocks.give_back(blocks.take(40 * kMegabyte));  // 240 MB: within the slack
  EXPECT_EQ(blocks.free_bytes(), 240 * kMegabyte);
}

TEST(LargeBlocks, what_is_none_of_them_is_told) {
  LargeBlocks blocks(kMegabyte);
  int other = 0;
  EXPECT_FALSE(blocks.give_back(&other));
}

TEST(LargeBlocks, more_than_there_is_gives_null) {
  LargeBlocks blocks(kMegabyte);
  EXPECT_EQ(blocks.take(std::size_t{1} << 60), nullptr);
}

}  // namespace
}  // namespace assay::exec
