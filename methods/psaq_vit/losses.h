#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// What PSAQ-ViT optimises: patch-similarity entropy, cross-entropy and total variation.
// Source: Li et al., ECCV 2022, arXiv 2203.02250, equations 5 to 12.

namespace assay::psaq_vit {

struct KdeOptions {
  std::int64_t points = 10;
  double sigma = 0.01;
  double floor = 1e-4;
};

// Pairwise cosines of the patch tokens' head-averaged attention outputs. av [B, heads, N, d];
// `drop_first`: leave token 0 (the class token) out. Returns [B, n, n] with the unit diagonal.
at::Tensor patch_similarity(const at::Tensor& av, bool drop_first = true);

struct DensityEstimate {
  at::Tensor grid;               // [points], from the least to the largest value of the whole batch
  at::Tensor density;            // [B, points], Gaussian kernels, before the floor is added
  at::Tensor entropy_per_image;  // [B], trapezoid rule over the grid
};

// similarity [B, values]. Not differentiable.
DensityEstimate estimate_density(const at::Tensor& similarity, const KdeOptions& options);

// Differential entropy, mean over the batch; a scalar with the gradient of the estimate above (the
// grid is constant). Only the similarities and their gradient are kept for the backward pass. A
// grid narrower than 1e-12 gives 0 with gradient 0.
at::Tensor similarity_entropy(const at::Tensor& similarity, const KdeOptions& options = {});

// Norms of the differences along the width, the height, down-left and down-right, each over the
// whole batch [B, C, H, W]; a scalar.
at::Tensor total_variation(const at::Tensor& images);

// Factor of the published total-variation target (32 images of 3 x 224 x 224) for another shape.
double target_scale(const std::vector<std::int64_t>& shape);

}  // namespace assay::psaq_vit
