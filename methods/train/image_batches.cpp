#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "methods/train/batches.h"

namespace assay::train {
namespace {

constexpr std::int64_t kLargestInMemory = std::int64_t{1} << 30;  // bytes

class ImageBatches : public Batches {
 public:
  ImageBatches(std::unique_ptr<datasets::ImageSet> set, const models::NetworkInfo& network,
               const Settings& settings, std::uint64_t seed)
      : set_(std::move(set)), network_(network), settings_(settings), seed_(seed) {
    check();
    const at::Tensor first = set_->read(0, 1).images;
    if (first.numel() * set_->size() <= kLargestInMemory) all_ = set_->read(0, set_->size());
  }

  std::int64_t samples() const override { return set_->size(); }

  Batch at(std::int64_t step) const override {
    const std::int64_t steps_per_epoch = set_->size() / settings_.batch;
    const std::int64_t epoch = step / steps_per_epoch;
    if (epoch != epoch_ || order_.empty()) {
      order_ =
          Philox(seed_, "train.order", static_cast<std::uint64_t>(epoch)).permutation(set_->size());
      epoch_ = epoch;
    }
    const std::int64_t begin = (step - epoch * steps_per_epoch) * settings_.batch;
    const datasets::ImageBatch picked = pick(order_.data() + begin);
    const at::Tensor images = augmented(picked.images, settings_.crop, settings_.flip, seed_, step);
    return {datasets::normalise(images, network_.mean, network_.std), picked.labels};
  }

 private:
  void check() const {
    const auto refuse = [](const std::string& text) {
      throw Error(ErrorKind::kData, "training images do not fit the network: " + text);
    };
    if (set_->size() < 1) refuse("there are none");
    if (set_->classes() > network_.outputs)
      refuse(fmt::format("{} classes, but {} outputs", set_->classes(), network_.outputs));
    const at::Tensor image = set_->read(0, 1).images;
    const std::vector<std::int64_t> shape = image[0].sizes().vec();
    const bool repeats = shape[0] == 1 && network_.input[0] == 3;
    if (shape[1] != network_.input[1] || shape[2] != network_.input[2] ||
        (shape[0] != network_.input[0] && !repeats))
      refuse(fmt::format("[{}], but the network takes [{}]", fmt::join(shape, ", "),
                         fmt::join(network_.input, ", ")));
  }

  datasets::ImageBatch pick(const std::int64_t* indices) const {
    const auto count = settings_.batch;
    if (all_.images.defined()) {
      const at::Tensor which =
          at::from_blob(const_cast<std::int64_t*>(indices), {count}, at::kLong);
      return {all_.images.index_select(0, which), all_.labels.index_select(0, which)};
    }
    std::vector<at::Tensor> images, labels;
    for (std::int64_t i = 0; i < count; ++i) {
      const datasets::ImageBatch one = set_->read(indices[i], indices[i] + 1);
      images.push_back(one.images);
      labels.push_back(one.labels);
    }
    return {at::cat(images), at::cat(labels)};
  }

  std::unique_ptr<datasets::ImageSet> set_;
  models::NetworkInfo network_;
  Settings settings_;
  std::uint64_t seed_;
  datasets::ImageBatch all_;                 // undefined for sets that are too large
  mutable std::vector<std::int64_t> order_;  // of epoch_
  mutable std::int64_t epoch_ = -1;
};

}  // namespace

at::Tensor augmented(const at::Tensor& images, std::int64_t crop, bool flip, std::uint64_t seed,
                     std::int64_t step) {
  if (crop == 0 && !flip) return images;
  Philox random(seed, "train.augment", static_cast<std::uint64_t>(step));
  const std::int64_t height = images.size(2);
  const std::int64_t width = images.size(3);
  const at::Tensor padded = at::constant_pad_nd(images, {crop, crop, crop, crop}, 0);
  at::Tensor result = at::empty_like(images);
  for (std::int64_t i = 0; i < images.size(0); ++i) {
    std::int64_t top = 0;
    std::int64_t left = 0;
    if (crop > 0) {
      top = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * crop + 1)));
      left = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * crop + 1)));
    }
    at::Tensor image = padded[i].narrow(1, top, height).narrow(2, left, width);
    if (flip && random.below(2) == 1) image = image.flip({2});
    result[i].copy_(image);
  }
  return result;
}

std::unique_ptr<Batches> image_batches(std::unique_ptr<datasets::ImageSet> images,
                                       const models::NetworkInfo& network, const Settings& settings,
                                       std::uint64_t seed) {
  return std::make_unique<ImageBatches>(std::move(images), network, settings, seed);
}

}  // namespace assay::train
