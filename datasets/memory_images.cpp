#include "datasets/memory_images.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>

#include "datasets/files.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

class MemoryImages : public ImageSet {
 public:
  MemoryImages(at::Tensor images, at::Tensor labels, std::int64_t classes)
      : images_(std::move(images)), labels_(std::move(labels)), classes_(classes) {}

  std::int64_t size() const override { return images_.size(0); }
  std::int64_t classes() const override { return classes_; }
  ImageBatch read(std::int64_t begin, std::int64_t end) const override {
    if (begin < 0 || begin > end || end > size()) {
      throw Error(ErrorKind::kConfig, fmt::format("images {} to {} were asked for, the set has {}",
                                                  begin, end, size()));
    }
    return {images_.narrow(0, begin, end - begin), labels_.narrow(0, begin, end - begin)};
  }

 private:
  at::Tensor images_;
  at::Tensor labels_;
  std::int64_t classes_;
};

}  // namespace

at::Tensor byte_tensor(const std::string& bytes, const std::vector<std::int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kByte);
  std::memcpy(tensor.data_ptr(), bytes.data(), static_cast<std::size_t>(tensor.numel()));
  return tensor;
}

std::unique_ptr<ImageSet> memory_images(const at::Tensor& images, const at::Tensor& labels,
                                        std::int64_t classes, const std::string& source) {
  if (images.dim() != 4 || labels.dim() != 1 || images.size(0) != labels.size(0)) {
    refuse_file(source, fmt::format("{} images and {} labels do not fit together",
                                    images.dim() > 0 ? images.size(0) : 0,
                                    labels.dim() > 0 ? labels.size(0) : 0));
  }
  if (images.size(0) == 0) {
    refuse_file(source, "the set is empty");
  }
  const at::Tensor bad = ((labels < 0) | (labels >= classes)).nonzero();
  if (bad.numel() > 0) {
    const auto record = bad[0].item<std::int64_t>();
    refuse_file(source, fmt::format("record {}: label {}; legal: 0 to {}", record,
                                    labels[record].item<std::int64_t>(), classes - 1));
  }
  return std::make_unique<MemoryImages>(images.contiguous(), labels.contiguous(), classes);
}

}  // namespace assay::datasets
