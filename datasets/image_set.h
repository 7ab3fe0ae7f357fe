#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"

namespace assay::datasets {

struct ImageBatch {
  at::Tensor images;  // uint8 [n, C, H, W], as stored (folders: after resize and crop)
  at::Tensor labels;  // int64 [n]
};

// A labelled set of images in a fixed order. Immutable; any thread may read it.
class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual std::int64_t size() const = 0;
  virtual std::int64_t classes() const = 0;
  // What a person would call image `index`: a file, or "image 17".
  virtual std::string name(std::int64_t index) const;
  // Images begin .. end - 1. Throws Error(kData) naming the file and record that is malformed.
  virtual ImageBatch read(std::int64_t begin, std::int64_t end) const = 0;
};

// Opens one split: `data` is recipe()["data"] (reader, parameters, split, and for image folders
// "preprocess", see preprocessing_from()), `files` its files, a folder with its manifest; `class_names`:
// of the classes of an image folder in the order of their numbers, empty: its sorted folders.
std::unique_ptr<ImageSet> open_images(const Json& data, const FileSet& files,
                                      const std::vector<std::string>& class_names = {});

// uint8 images -> float32, /255, (x - mean) / std per channel. A set with one channel feeds a
// 3-channel network by repetition.
at::Tensor normalise(const at::Tensor& images, const std::vector<double>& mean,
                     const std::vector<double>& std);

}  // namespace assay::datasets
