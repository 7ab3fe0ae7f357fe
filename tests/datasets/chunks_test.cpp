#include "datasets/chunks.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

TEST(Chunks, shards_of_any_number_cover_every_chunk_once) {
  for (const std::int64_t samples : {0, 1, 63, 64, 65, 1000}) {
    for (const std::int64_t shards : {1, 2, 3, 8, 100}) {
      std::int64_t next_chunk = 0;
      std::int64_t next_sample = 0;
      for (std::int64_t shard = 0; shard < shards; ++shard) {
        const ChunkPlan plan{samples, 64, shard, shards};
        EXPECT_EQ(chunks_of(plan).begin, next_chunk);
        EXPECT_EQ(samples_of(plan).begin, next_sample);
        next_chunk = chunks_of(plan).end;
        next_sample = samples_of(plan).end;
      }
      EXPECT_EQ(next_chunk, (samples + 63) / 64);
      EXPECT_EQ(next_sample, samples);
    }
  }
}

TEST(Chunks, the_last_chunk_is_short_and_padding_fills_it_with_zeros) {
  const ChunkPlan plan{10, 4, 0, 1};
  EXPECT_EQ(samples_of(plan, 2).size(), 2);
  const at::Tensor rows = padded(at::ones({2, 3}), 4);
  EXPECT_EQ(rows.size(0), 4);
  EXPECT_EQ(rows.sum().item<float>(), 6);
}

TEST(Chunks, a_plan_that_cannot_be_is_an_error) {
  expect_error(ErrorKind::kConfig, "shard 2 of 2", [] { chunks_of({10, 4, 2, 2}); });
  expect_error(ErrorKind::kConfig, "chunks of 0", [] { chunks_of({10, 0, 0, 1}); });
}

TEST(Chunks, a_limit_of_zero_takes_all) {
  EXPECT_EQ(limited(10, 0), 10);
  EXPECT_EQ(limited(10, 3), 3);
  EXPECT_EQ(limited(10, 30), 10);
}

}  // namespace
}  // namespace assay::datasets
