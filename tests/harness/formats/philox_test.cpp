#include "harness/formats/philox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "harness/base/error.h"

namespace assay {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Known answers of the Random123 distribution (kat_vectors, philox 4x32 10).
TEST(Philox, known_answers_of_the_paper) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, the_same_name_gives_the_same_numbers) {
  Philox a(7, "init", 3);
  Philox b(7, "init", 3);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a.next(), b.next());
}

TEST(Philox, seed_stream_and_index_each_give_other_numbers) {
  const std::uint64_t base = Philox(7, "init", 3).next64();
  EXPECT_NE(base, Philox(8, "init", 3).next64());
  EXPECT_NE(base, Philox(7, "shuffle", 3).next64());
  EXPECT_NE(base, Philox(7, "init", 4).next64());
  EXPECT_NE(base, Philox(7, "init", 3 + (std::uint64_t{1} << 32)).next64());
}

TEST(Philox, uniform_stays_in_its_range_with_the_right_moments) {
  Philox random(1, "uniform");
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < 20000; ++i) {
    const double u = random.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
  EXPECT_NEAR(squares / 20000, 1.0 / 3.0, 0.01);
}

TEST(Philox, normal_has_mean_zero_deviation_one_and_its_tails) {
  Philox random(1, "normal");
  double sum = 0;
  double squares = 0;
  int beyond_two = 0;
  for (int i = 0; i < 20000; ++i) {
    const double z = random.normal();
    sum += z;
    squares += z * z;
    beyond_two += std::abs(z) > 2.0;
  }
  EXPECT_NEAR(sum / 20000, 0.0, 0.03);
  EXPECT_NEAR(squares / 20000, 1.0, 0.04);
  EXPECT_NEAR(beyond_two / 20000.0, 0.0455, 0.006);
}

TEST(Philox, below_reaches_every_value_and_no_other) {
  Philox random(5, "below");
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(random.below(6));
  EXPECT_EQ(seen, (std::set<std::uint64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(random.below(1), 0u);
  EXPECT_THROW(random.below(0), Error);
}

TEST(Philox, a_permutation_holds_each_index_once) {
  Philox random(5, "permutation");
  std::vector<std::int64_t> order = random.permutation(100);
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (std::int64_t i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_TRUE(random.permutation(0).empty());
}

TEST(philox, fill_gives_the_words_of_next64_in_turn) {
  for (const std::size_t count : {0, 1, 15, 16, 17, 100}) {
    Philox bulk(9, "bulk", 5), single(9, "bulk", 5);
    EXPECT_EQ(bulk.next64(), single.next64());  // from the middle of a block
    std::vector<std::uint64_t> words(count);
    bulk.fill(words);
    for (const std::uint64_t word : words) EXPECT_EQ(word, single.next64());
    EXPECT_EQ(bulk.next64(), single.next64());
  }
}

}  // namespace
}  // namespace assay
