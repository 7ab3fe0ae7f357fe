#include "harness/evaluate/classification.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "datasets/memory_images.h"
#include "harness/base/error.h"
#include "tests/harness/evaluate/toy_networks.h"
#include "tests/support/refusal.h"

namespace assay::evaluate {
namespace {

using assay::testing::refusal;

std::unique_ptr<datasets::ImageSet> images(std::int64_t count, std::int64_t classes = 7) {
  const at::Tensor pixels =
      at::arange(count * 16).mul(37).remainder(251).view({count, 1, 4, 4}).to(at::kByte);
  return datasets::memory_images(pixels, at::arange(count).remainder(classes), classes, "test");
}

ClassificationRecords in_shards(std::int64_t shards, std::int64_t samples) {
  const ToyNetwork network = mixing_classifier(7);
  models::Untapped tap;
  const auto set = images(samples);
  std::vector<at::Tensor> correct, top5, margin, nll;
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const ClassificationRecords part = classify(network, tap, *set, {samples, 8, shard, shards});
    correct.push_back(part.correct);
    top5.push_back(part.top5);
    margin.push_back(part.margin);
    nll.push_back(part.nll);
  }
  return {at::cat(correct), at::cat(top5), at::cat(margin), at::cat(nll)};
}

TEST(Classification, records_follow_from_the_logits) {
  const at::Tensor logits = at::tensor({3., 1., 2., 0., 0., 0., 0.}).view({1, 7}).repeat({3, 1});
  const ClassificationRecords records = records_of(logits, at::tensor({0, 2, 6}, at::kLong));
  EXPECT_TRUE(at::equal(records.correct, at::tensor({1, 0, 0}, at::kByte)));
  EXPECT_TRUE(at::equal(records.top5, at::tensor({1, 1, 0}, at::kByte)));
  EXPECT_TRUE(at::equal(records.margin, at::tensor({1.f, -1.f, -3.f})));
  const double z = std::exp(3.) + std::exp(1.) + std::exp(2.) + 4;
  EXPECT_NEAR(records.nll[1].item<double>(), std::log(z) - 2, 1e-12);
}

TEST(Classification, of_equal_logits_the_first_class_counts) {
  const at::Tensor logits = at::zeros({2, 7});
  const ClassificationRecords records = records_of(logits, at::tensor({0, 1}, at::kLong));
  EXPECT_TRUE(at::equal(records.correct, at::tensor({1, 0}, at::kByte)));
}

TEST(Classification, any_number_of_shards_gives_the_same_bytes) {
  for (const std::int64_t samples : {1, 8, 37}) {
    const ClassificationRecords whole = in_shards(1, samples);
    for (const std::int64_t shards : {2, 3, 8}) {
      const ClassificationRecords parts = in_shards(shards, samples);
      EXPECT_TRUE(at::equal(parts.correct, whole.correct));
      EXPECT_TRUE(at::equal(parts.top5, whole.top5));
      EXPECT_TRUE(at::equal(parts.margin, whole.margin));
      EXPECT_TRUE(at::equal(parts.nll, whole.nll));
    }
  }
}

// Divides by the largest value of the whole batch, as a dynamic range of a tensor does.
class LargestOfBatch : public models::Tap {
 public:
  at::Tensor operator()(std::string_view, const at::Tensor& value) override {
    largest.push_back(value.amax().item<double>());
    smallest.push_back(value.amin().item<double>());
    return value;
  }
  std::vector<double> largest, smallest;
};

TEST(Classification, a_dynamic_range_sees_the_images_of_its_chunk_and_no_padding) {
  models::NetworkInfo info = mixing_classifier(2).info();
  info.mean = {0};
  info.std = {1};
  LargestOfBatch tap;
  const ToyNetwork network(info, [&](const at::Tensor& x) {
    tap("x", x);
    return at::zeros({x.size(0), 2});
  });
  const auto grey = datasets::memory_images(at::full({10, 1, 4, 4}, 51, at::kByte),
                                            at::zeros({10}, at::kLong), 2, "test");
  for (const std::int64_t chunk : {10, 7, 64}) classify(network, tap, *grey, {10, chunk});
  for (const double value : tap.smallest) EXPECT_NEAR(value, 0.2, 1e-6);  // never 0
  for (const double value : tap.largest) EXPECT_NEAR(value, 0.2, 1e-6);
}

TEST(Classification, uniform_logits_cost_the_logarithm_of_the_classes) {
  const ClassificationRecords records = records_of(at::zeros({50, 7}), at::arange(50).remainder(7));
  const ClassificationMetrics metrics = summarise(records);
  EXPECT_NEAR(metrics.cross_entropy, std::log(7.0), 1e-12);
  EXPECT_NEAR(metrics.top1, 100.0 * 8 / 50, 1e-12);  // labels 0: 0, 7, ... 49
  EXPECT_EQ(metrics.samples, 50);
}

TEST(Classification, what_does_not_fit_is_an_error) {
  const ToyNetwork network = mixing_classifier(5);
  models::Untapped tap;
  EXPECT_THROW(classify(network, tap, *images(4, 7), {4, 4}), Error);
  const auto large = datasets::memory_images(at::zeros({2, 1, 8, 8}, at::kByte),
                                             at::zeros({2}, at::kLong), 2, "test");
  EXPECT_THROW(classify(network, tap, *large, {2, 2}), Error);
  EXPECT_THROW(summarise(records_of(at::zeros({0, 3}), at::zeros({0}, at::kLong))), Error);
}

TEST(Classification, logits_that_are_not_finite_are_an_error_that_names_the_sample) {
  models::NetworkInfo info = mixing_classifier(2).info();
  const ToyNetwork network(info, [](const at::Tensor& x) {
    at::Tensor logits = at::zeros({x.size(0), 2});
    logits[1][0] = std::numeric_limits<float>::quiet_NaN();
    return logits;
  });
  models::Untapped tap;
  EXPECT_THAT(refusal([&] {
                classify(network, tap, *images(8, 2), {8, 4});
              }),
              ::testing::HasSubstr("method: the network's logits of sample 1"));
}

TEST(Classification, progress_counts_the_samples_of_the_shard) {
  const ToyNetwork network = mixing_classifier(7);
  models::Untapped tap;
  std::vector<std::int64_t> done;
  classify(network, tap, *images(20), {20, 8, 1, 2}, [&](std::int64_t n, std::int64_t total) {
    done.push_back(n);
    EXPECT_EQ(total, 12);
  });
  EXPECT_EQ(done, (std::vector<std::int64_t>{8, 12}));
}

}  // namespace
}  // namespace assay::evaluate
