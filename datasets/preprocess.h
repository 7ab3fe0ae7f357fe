#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "datasets/resample.h"
#include "harness/base/json.h"

// Geometry of preprocessings: resize, centre crop. Mean and standard deviation are the network's
// (datasets::normalise).

namespace assay::datasets {

struct Preprocessing {
  std::string name;
  std::int64_t resize = 0;  // pixels of the shorter side; 0: the image stays as it is
  Interpolation interpolation = Interpolation::kBicubic;
  std::int64_t crop = 0;   // pixels of the centred square; 0: none
  std::int64_t exact = 0;  // the only side length accepted; 0: any
  bool squash = false;     // both sides become `resize`, whatever their ratio
};

// Raised when the resizing gives other values for the same name.
inline constexpr int kResizeRevision = 2;

// Names that a sweep may give, in order: "auto", "none", "deit_875", "vit_900", "swin_900", "timm",
// "timm_train_size", "timm_1000", "torchvision_256", "mimiq", "cifar".
std::vector<std::string> preprocessing_names();

// The geometry of a name that says it all (neither "auto" nor one of timm's rules). Throws
// Error(kConfig) with the nearest name; Error(kUnsupported) for "train_rrc", which is random.
Preprocessing preprocessing_named(const std::string& name);

// The geometry of a recipe's data["preprocess"], made by resolve_preprocessing(); null: "none".
// timm's rule: the shorter side becomes floor(size / crop_pct), the crop `size`. Throws
// Error(kConfig) for what that function never makes.
Preprocessing preprocessing_from(const Json& preprocessing);

// A strip 1 pixel wide and megapixels long would grow by the resize factor squared. Throws
// Error(kData) naming `what` if the sides differ too much for the resize.
void require_sides(const Preprocessing& preprocessing, std::int64_t width, std::int64_t height,
                   const std::string& what);

// image: uint8 [C, H, W]; returns uint8 [C, h, w], to the byte what Pillow and torchvision make of
// it: resample(), the longer side becomes int(size * long / short), the crop begins at
// round((side - crop) / 2), half to even. Throws Error(kData) naming `what` for a size that does not
// fit.
at::Tensor preprocess_image(const at::Tensor& image, const Preprocessing& preprocessing,
                            const std::string& what);

}  // namespace assay::datasets
