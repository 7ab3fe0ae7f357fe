#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "datasets/image_set.h"
#include "datasets/token_set.h"

// Calibration data, and the artifacts in which methods find it.

namespace assay::datasets {

// int32 [samples, context], drawn from the stream of all documents as published codes do: a start
// is randint(0, n - context - 1) of Python's generator for the n tokens; n = context gives 0, where
// those codes fail. Throws Error(kConfig) naming the counts if there are too few tokens.
at::Tensor calibration_windows(const TokenSet& tokens, std::int64_t samples, std::int64_t context,
                               std::uint64_t seed);

// That `count` images can be drawn from so many. Throws Error(kConfig).
void require_samples(std::int64_t available, std::int64_t count);

// Indices of `count` images: the head of Philox(seed, "sample_images").permutation(available), in
// the order drawn. Throws Error(kConfig) if there are fewer.
std::vector<std::int64_t> sampled_indices(std::int64_t available, std::int64_t count,
                                          std::uint64_t seed);

// The images of those indices, in that order. Throws Error(kData) naming two of unequal sizes.
ImageBatch gather(const ImageSet& images, const std::vector<std::int64_t>& indices);

// Artifact of the stage `sample_calibration`: tokens.safetensors with tokens I32 [samples,
// context].
inline constexpr const char* kWindowsFile = "tokens.safetensors";
inline constexpr const char* kWindowsName = "tokens";

// Artifact of the stage `sample_images`: images.safetensors with images U8 [n, C, H, W], before
// normalisation (datasets::normalise with the network's mean and deviation), and labels I64 [n].
inline constexpr const char* kImagesFile = "images.safetensors";

}  // namespace assay::datasets
