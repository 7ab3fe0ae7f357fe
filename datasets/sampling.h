#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "datasets/image_set.h"
#include "datasets/token_set.h"

// Calibration data, and the artifacts in which methods find it.

namespace assay::datasets {

// How calibration windows are drawn.
struct WindowSampling {
  std::int64_t samples = 128;
  std::int64_t context = 2048;
  std::string rule = "stream";  // "stream": from the whole token stream (wikitext2, ptb, text);
                                // "documents": documents with at least `context` tokens (c4)
  std::string generator = "python";  // "python": as published codes; "philox": counter-based
};

// int32 [samples, context]. A start is randint(0, n - context - 1) of the n tokens of the stream or
// document; n = context gives 0, where the published codes fail. Throws Error(kConfig) naming the
// counts if there are too few tokens.
at::Tensor calibration_windows(const TokenSet& tokens, const WindowSampling& sampling,
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
// context]; returns int64, as networks take it.
inline constexpr const char* kWindowsFile = "tokens.safetensors";
inline constexpr const char* kWindowsName = "tokens";
at::Tensor read_calibration_windows(const std::filesystem::path& artifact);

// Artifact of the stage `sample_images`: images.safetensors with images U8 [n, C, H, W], before
// normalisation (datasets::normalise with the network's mean and deviation), and labels I64 [n].
inline constexpr const char* kImagesFile = "images.safetensors";
ImageBatch read_sampled_images(const std::filesystem::path& artifact);

}  // namespace assay::datasets
