#include "methods/train/batches.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "tests/methods/train/stripes.h"

namespace assay::train {
namespace {

Settings settings(std::int64_t batch) {
  Settings s;
  s.batch = batch;
  return s;
}

std::unique_ptr<Batches> stripes(std::int64_t count, const Settings& s, std::uint64_t seed = 0) {
  return image_batches(std::make_unique<Stripes>(count), stripes_info(), s, seed);
}

models::NetworkInfo language(std::int64_t vocabulary, std::int64_t context) {
  models::NetworkInfo info;
  info.task = models::Task::kLanguage;
  info.outputs = vocabulary;
  info.context = context;
  return info;
}

TEST(ImageBatches, an_epoch_meets_every_image_once_and_the_next_in_another_order) {
  const auto batches = stripes(12, settings(4));
  std::vector<at::Tensor> epochs;
  for (std::int64_t epoch = 0; epoch < 2; ++epoch) {
    std::vector<at::Tensor> parts;
    for (std::int64_t i = 0; i < 3; ++i) parts.push_back(batches->at(3 * epoch + i).input);
    epochs.push_back(at::cat(parts).flatten(1).select(1, 0));  // the first pixel tells images apart
    EXPECT_EQ(std::get<0>(at::_unique(epochs.back())).numel(), 12);
  }
  EXPECT_FALSE(at::equal(epochs[0], epochs[1]));
}

TEST(ImageBatches, a_step_gives_the_same_batch_whatever_was_asked_before) {
  Settings s = settings(4);
  s.crop = 2;
  s.flip = true;
  const auto one = stripes(12, s);
  const auto two = stripes(12, s);
  for (std::int64_t i = 0; i < 5; ++i) one->at(i);
  EXPECT_TRUE(at::equal(one->at(5).input, two->at(5).input));
  EXPECT_TRUE(at::equal(one->at(5).target, two->at(5).target));
  EXPECT_FALSE(at::equal(stripes(12, s, 1)->at(5).input, two->at(5).input));
}

TEST(ImageBatches, images_of_another_size_and_too_many_classes_are_errors) {
  models::NetworkInfo info = stripes_info();
  info.input = {1, 9, 8};
  EXPECT_THROW(image_batches(std::make_unique<Stripes>(12), info, settings(4), 0), Error);
  info = stripes_info();
  info.outputs = 1;
  EXPECT_THROW(image_batches(std::make_unique<Stripes>(12), info, settings(4), 0), Error);
}

TEST(Augmented, equals_a_loop_over_pixels) {
  const std::int64_t crop = 1;
  const at::Tensor images = at::arange(2 * 3 * 4, at::kByte).view({2, 1, 3, 4});
  const at::Tensor result = augmented(images, crop, true, 7, 11);
  Philox random(7, "train.augment", 11);
  for (std::int64_t i = 0; i < 2; ++i) {
    const auto top = static_cast<std::int64_t>(random.below(3));
    const auto left = static_cast<std::int64_t>(random.below(3));
    const bool mirrored = random.below(2) == 1;
    for (std::int64_t y = 0; y < 3; ++y) {
      for (std::int64_t x = 0; x < 4; ++x) {
        const std::int64_t from_y = y + top - crop;
        const std::int64_t from_x = (mirrored ? 3 - x : x) + left - crop;
        const bool inside = from_y >= 0 && from_y < 3 && from_x >= 0 && from_x < 4;
        const int expected = inside ? images[i][0][from_y][from_x].item<int>() : 0;
        EXPECT_EQ(result[i][0][y][x].item<int>(), expected) << i << " " << y << " " << x;
      }
    }
  }
}

TEST(Augmented, changes_nothing_unless_asked) {
  const at::Tensor images = at::arange(12, at::kByte).view({1, 1, 3, 4});
  EXPECT_TRUE(at::equal(augmented(images, 0, false, 1, 1), images));
}

TEST(TokenBatches, targets_are_the_tokens_that_follow) {
  const auto batches = token_batches(at::arange(50, at::kInt), language(50, 8), settings(4), 3);
  const Batch batch = batches->at(2);
  EXPECT_EQ(batch.input.sizes(), (std::vector<std::int64_t>{4, 8}));
  EXPECT_TRUE(at::equal(batch.input + 1, batch.target));
  EXPECT_TRUE(at::equal(batches->at(2).input, batch.input));
  EXPECT_FALSE(at::equal(batches->at(3).input, batch.input));
}

TEST(TokenBatches, tokens_outside_the_vocabulary_short_texts_and_long_windows_are_errors) {
  EXPECT_THROW(token_batches(at::arange(50), language(49, 8), settings(4), 0), Error);
  EXPECT_THROW(token_batches(at::arange(8), language(50, 8), settings(4), 0), Error);
  Settings s = settings(4);
  s.window = 9;
  EXPECT_THROW(token_batches(at::arange(50), language(50, 8), s, 0), Error);
}

}  // namespace
}  // namespace assay::train
