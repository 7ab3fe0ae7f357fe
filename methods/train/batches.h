#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "datasets/image_set.h"
#include "harness/models/network.h"
#include "methods/train/settings.h"

namespace assay::train {

struct Batch {
  at::Tensor input;   // images: float [b, C, H, W], normalised; tokens: int64 [b, T]
  at::Tensor target;  // classes: int64 [b]; next tokens: int64 [b, T]
};

// Training data as a function of the step: batch n is the same whatever was asked before, so that a
// resumed run sees what an uninterrupted one would have seen.
class Batches {
 public:
  virtual ~Batches() = default;
  virtual std::int64_t samples() const = 0;  // images, or windows that lie side by side in the text
  virtual Batch at(std::int64_t step) const = 0;
};

// Each epoch goes through the images in an order of its own, Philox(seed, "train.order", epoch),
// and leaves out what does not fill a batch. Crop offsets and flips are drawn from Philox(seed,
// "train.augment", step), image by image. Throws Error(kData) if the labels exceed the network's
// outputs or the images have another size.
std::unique_ptr<Batches> image_batches(std::unique_ptr<datasets::ImageSet> images,
                                       const models::NetworkInfo& network, const Settings& settings,
                                       std::uint64_t seed);

// Tokens of a text window: `window`, or the network's context.
std::int64_t window_of(const models::NetworkInfo& network, const Settings& settings);

// That a text window fits a language network. Throws Error(kConfig).
void require_window(const models::NetworkInfo& network, const Settings& settings);

// That so many tokens hold a window and the token that follows. Throws Error(kData).
void require_tokens(const models::NetworkInfo& network, const Settings& settings,
                    std::int64_t tokens);

// Windows of `window` tokens at random places, Philox(seed, "train.windows", step); the target of a
// token is the one that follows. tokens: int32 or int64 [n]. Throws Error(kData) if there are too
// few or one is outside the vocabulary, Error(kConfig) for a window beyond the network's context.
std::unique_ptr<Batches> token_batches(const at::Tensor& tokens, const models::NetworkInfo& network,
                                       const Settings& settings, std::uint64_t seed);

// Random crop of the zero-padded image and random mirroring. images: uint8 [b, C, H, W], any
// channel count; draws two offsets (if crop > 0) and a coin (if flip) an image.
at::Tensor augmented(const at::Tensor& images, std::int64_t crop, bool flip, std::uint64_t seed,
                     std::int64_t step);

}  // namespace assay::train
