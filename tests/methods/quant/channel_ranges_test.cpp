#include "methods/quant/channel_ranges.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

TEST(ChannelRanges, a_middle_moves_by_a_hundredth_a_sequence_and_padding_is_not_seen) {
  at::manual_seed(5);
  const at::Tensor values = at::randn({11, 4, 3}, at::kDouble);
  for (const std::int64_t size : {1, 3, 8, 11}) {
    ChannelRangeTap observer({"here"}, true);
    for (std::int64_t i = 0; i < chunk_count(11, size); ++i) {
      const Chunk chunk = chunk_of(values, i, size);
      observer.begin(&chunk);
      observer("here", chunk.rows);
      observer("elsewhere", chunk.rows * 100);
    }
    at::Tensor middle = (values[0].amax(0) + values[0].amin(0)) / 2;
    for (std::int64_t i = 1; i < 11; ++i) {
      middle = 0.99 * middle + 0.01 * (values[i].amax(0) + values[i].amin(0)) / 2;
    }
    const ChannelRange& range = observer.ranges().at("here");
    EXPECT_TRUE(range.middle.allclose(middle, 1e-12)) << size;
    EXPECT_TRUE(range.largest.equal(values.abs().amax({0, 1}))) << size;
  }
}

TEST(ChannelRanges, sites_that_are_not_reached_or_not_finite_are_named) {
  ChannelRangeTap observer({"here", "there"});
  const at::Tensor values = at::ones({1, 2, 3});
  const Chunk chunk = chunk_of(values, 0, 1);
  observer.begin(&chunk);
  observer("here", values);
  EXPECT_EQ(testing::refusal([&] { observer.ranges(); }),
            "method: site 'there' was not reached by the network");
  observer("there", values / 0);
  EXPECT_EQ(testing::refusal([&] { observer.ranges(); }),
            "method: activations at 'there' hold NaN or infinities");
}

}  // namespace
}  // namespace assay::quant
