#pragma once

#include <ATen/ATen.h>

#include "datasets/image_set.h"
#include "harness/models/network.h"

namespace assay::train {

// Images of 8 x 8 pixels that a small network learns in seconds: even ones have horizontal stripes,
// odd ones vertical stripes. The first pixel holds the image's index.
class Stripes : public datasets::ImageSet {
 public:
  explicit Stripes(std::int64_t count) : count_(count) {}
  std::int64_t size() const override { return count_; }
  std::int64_t classes() const override { return 2; }
  datasets::ImageBatch read(std::int64_t begin, std::int64_t end) const override {
    const at::Tensor stripes = (at::arange(8) % 2 * 200).to(at::kByte);
    at::Tensor images = at::empty({end - begin, 1, 8, 8}, at::kByte);
    for (std::int64_t i = begin; i < end; ++i) {
      at::Tensor image = images[i - begin][0];
      image.copy_(i % 2 == 0 ? stripes.view({8, 1}).expand({8, 8}) : stripes.expand({8, 8}));
      image[0][0].fill_(i);
    }
    return {images, at::arange(begin, end) % 2};
  }

 private:
  std::int64_t count_;
};

inline Json stripes_vit() {
  return {{"img_size", 8},  {"patch_size", 4},  {"in_chans", 1}, {"embed_dim", 16}, {"depth", 1},
          {"num_heads", 2}, {"num_classes", 2}, {"mean", {0.4}}, {"std", {0.4}}};
}

inline models::NetworkInfo stripes_info() {
  models::NetworkInfo info;
  info.outputs = 2;
  info.input = {1, 8, 8};
  info.mean = {0.4};
  info.std = {0.4};
  return info;
}

}  // namespace assay::train
