#include "datasets/image_subset.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/sampling.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

class ImageSubset : public ImageSet {
 public:
  ImageSubset(std::shared_ptr<const ImageSet> images, std::vector<std::int64_t> indices)
      : images_(std::move(images)), indices_(std::move(indices)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  std::int64_t classes() const override { return images_->classes(); }
  std::string name(std::int64_t index) const override {
    return images_->name(indices_.at(static_cast<std::size_t>(index)));
  }
  ImageBatch read(std::int64_t begin, std::int64_t end) const override {
    if (begin < 0 || begin > end || end > size()) {
      throw Error(ErrorKind::kConfig, fmt::format("images {} to {} were asked for, the set has {}",
                                                  begin, end, size()));
    }
    if (begin == end) return images_->read(0, 0);
    return gather(*images_, {indices_.begin() + begin, indices_.begin() + end});
  }

 private:
  std::shared_ptr<const ImageSet> images_;
  std::vector<std::int64_t> indices_;
};

}  // namespace

std::vector<std::int64_t> spread_indices(std::int64_t size, std::int64_t limit) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < limit; ++i) indices.push_back(i * size / limit);
  return indices;
}

std::shared_ptr<const ImageSet> spread_subset(std::shared_ptr<const ImageSet> images,
                                              std::int64_t limit) {
  if (limit == 0 || limit >= images->size()) return images;
  std::vector<std::int64_t> indices = spread_indices(images->size(), limit);
  return std::make_shared<ImageSubset>(std::move(images), std::move(indices));
}

}  // namespace assay::datasets
