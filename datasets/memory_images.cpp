#include "datasets/memory_images.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cstring>

#include "datasets/compressed.h"
#include "datasets/idx.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::int64_t kCifarPixels = std::int64_t{3} * 32 * 32;
constexpr std::int64_t kCifarRecord = kCifarPixels + 1;
constexpr std::int64_t kCifarClasses = 10;
constexpr std::size_t kMaxFileBytes = std::size_t{4} << 30;

[[noreturn]] void refuse(const std::string& source, const std::string& why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", source, why), {{"file", source}});
}

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

at::Tensor bytes_tensor(const std::string& bytes, const std::vector<std::int64_t>& shape) {
  at::Tensor tensor = at::empty(shape, at::kByte);
  std::memcpy(tensor.data_ptr(), bytes.data(), static_cast<std::size_t>(tensor.numel()));
  return tensor;
}

}  // namespace

std::unique_ptr<ImageSet> memory_images(at::Tensor images, at::Tensor labels, std::int64_t classes,
                                        const std::string& source) {
  if (images.dim() != 4 || labels.dim() != 1 || images.size(0) != labels.size(0)) {
    refuse(source, fmt::format("{} images and {} labels do not fit together",
                               images.dim() > 0 ? images.size(0) : 0,
                               labels.dim() > 0 ? labels.size(0) : 0));
  }
  if (images.size(0) == 0) {
    refuse(source, "the set is empty");
  }
  const at::Tensor bad = ((labels < 0) | (labels >= classes)).nonzero();
  if (bad.numel() > 0) {
    const auto record = bad[0].item<std::int64_t>();
    refuse(source, fmt::format("record {}: label {}; legal: 0 to {}", record,
                               labels[record].item<std::int64_t>(), classes - 1));
  }
  return std::make_unique<MemoryImages>(images.contiguous(), labels.contiguous(), classes);
}

std::unique_ptr<ImageSet> open_idx(const InputFile& images, const InputFile& labels,
                                   std::int64_t classes) {
  IdxArray pixels = read_idx(images);
  const IdxArray names = read_idx(labels);
  if (pixels.shape.size() == 3) {
    pixels.shape.insert(pixels.shape.begin() + 1, 1);
  }
  if (pixels.shape.size() != 4) {
    refuse(images.path.string(),
           fmt::format("images have 3 or 4 dimensions, not {}", pixels.shape.size()));
  }
  if (names.shape.size() != 1) {
    refuse(labels.path.string(), fmt::format("labels have 1 dimension, not {}", names.shape.size()));
  }
  if (names.shape[0] != pixels.shape[0]) {
    refuse(labels.path.string(), fmt::format("{} labels for the {} images of {}", names.shape[0],
                                        pixels.shape[0], images.path.string()));
  }
  const at::Tensor label = bytes_tensor(names.bytes, names.shape).to(at::kLong);
  return memory_images(bytes_tensor(pixels.bytes, pixels.shape), label,
                       classes > 0 ? classes : label.max().item<std::int64_t>() + 1,
                       labels.path.string());
}

std::unique_ptr<ImageSet> open_cifar(const FileSet& files) {
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> labels;
  for (const InputFile& file : files) {
    const std::string bytes = read_inflated(file, kMaxFileBytes);
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (size == 0 || size % kCifarRecord != 0) {
      refuse(file.path.string(), fmt::format("{} bytes are no whole number of records of {} bytes; "
                                        "CIFAR-10's binary version is meant",
                                        size, kCifarRecord));
    }
    const at::Tensor records = bytes_tensor(bytes, {size / kCifarRecord, kCifarRecord});
    const at::Tensor label = records.select(1, 0).to(at::kLong);
    const at::Tensor bad = (label >= kCifarClasses).nonzero();
    if (bad.numel() > 0) {
      const auto record = bad[0].item<std::int64_t>();
      refuse(file.path.string(), fmt::format("record {}: label {}; legal: 0 to 9", record,
                                        label[record].item<std::int64_t>()));
    }
    images.push_back(records.narrow(1, 1, kCifarPixels).reshape({-1, 3, 32, 32}));
    labels.push_back(label);
  }
  return memory_images(at::cat(images), at::cat(labels), kCifarClasses, files[0].path.string());
}

}  // namespace assay::datasets
