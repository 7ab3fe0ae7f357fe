#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/models/network.h"
#include "methods/psaq_vit/losses.h"

// The image generator of PSAQ-ViT: Adam over a batch of images, from noise.

namespace assay::psaq_vit {

struct SynthesisOptions {
  std::int64_t images = 32;
  std::int64_t rounds = 2;
  std::int64_t steps = 500;  // iterations a round; the first fifth warms up
  double learning_rate = 0.2;
  double ce_weight = 1;
  double tv_weight = 0.05;
  double pse_weight = 1;
  double flip = 0.5;
  bool drop_first = true;
  bool imagenet_clip = false;  // clamp by ImageNet's statistics whatever the model's
  KdeOptions kde;
  std::uint64_t seed = 0;
};

// Learning rate of an iteration of a round: linear warm-up, then a half cosine.
double learning_rate(const SynthesisOptions& options, std::int64_t iteration);

// Largest roll of a round, in pixels: 6.7 % of the side in the first round, 13.4 % later.
std::int64_t jitter_limit(std::int64_t side, std::int64_t round);

// What one iteration draws.
struct Augmentation {
  std::int64_t offset = 0;  // of the roll, the same in height and width
  bool flip = false;        // mirror the whole batch
};

struct Losses {
  double total = 0, cross_entropy = 0, variation = 0, entropy = 0;  // entropy: - sum of blocks
  double tv = 0;  // the variation before the target is taken away
};

// Images with the state of their optimiser. Checkpoints hold exactly this.
struct SynthesisState {
  at::Tensor images;         // [B, C, H, W], normalised
  at::Tensor first, second;  // Adam's moments
  at::Tensor labels;         // int64 [B]
  double tv_target = 0;
  std::int64_t iterations = 0;  // done, over all rounds
};

// Throws Error(kUnsupported) for a network that takes no images, or whose channels are not those of
// ImageNet's statistics where these bound the images.
void check_network(const models::Network& network, bool imagenet_clip);

class Synthesizer {
 public:
  // `network`: frozen, borrowed. Throws Error(kUnsupported) if it has no attention outputs to look
  // at.
  Synthesizer(const models::Network& network, SynthesisOptions options);

  // Noise, labels and target from the seed.
  SynthesisState start() const;

  // Losses of images as they are given (after augmentation) with their gradient.
  Losses losses(const at::Tensor& images, const SynthesisState& state, at::Tensor* gradient) const;

  // One iteration with what it draws from the seed, or with the given draws.
  Losses step(SynthesisState& state) const;
  Losses step(SynthesisState& state, Augmentation draws, double rate) const;

  std::int64_t total_iterations() const { return options_.rounds * options_.steps; }

  // Standard deviation of the last block's patch similarities: high for images whose patches
  // differ.
  double similarity_deviation(const at::Tensor& images) const;

 private:
  Augmentation draw(std::int64_t iteration) const;

  const models::Network& network_;
  SynthesisOptions options_;
  std::vector<std::string> sites_;  // attention outputs, one a block
  at::Tensor low_, high_;           // [1, C, 1, 1]: black and white, normalised
};

}  // namespace assay::psaq_vit
