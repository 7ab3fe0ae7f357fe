#include "datasets/image_set.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/files.h"
#include "datasets/image_folder.h"
#include "datasets/memory_images.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::int64_t kFashionClasses = 10;

PixelRules pixel_rules(const Json& data) {
  return {.alpha = text_parameter(data, "alpha", "drop") == "white" ? Alpha::kWhite : Alpha::kDrop,
          .grey16 = text_parameter(data, "grey16", "clip") == "high" ? Grey16::kHigh
                                                                     : Grey16::kClip};
}

}  // namespace

std::string ImageSet::name(std::int64_t index) const { return fmt::format("image {}", index); }

std::unique_ptr<ImageSet> open_images(const Json& data, const FileSet& files,
                                      const std::vector<std::string>& class_names) {
  const std::string reader = reader_name(data);
  if (reader == "image_folder") {
    const auto preprocess = data.find("preprocess");
    return open_image_folder(
        all_files(files, reader)[0], class_names,
        preprocessing_from(preprocess == data.end() ? Json() : *preprocess), pixel_rules(data));
  }
  if (reader == "fashion_mnist" || reader == "idx") {
    const std::int64_t classes =
        reader == "idx" ? integer_parameter(data, "classes", 0) : kFashionClasses;
    return open_idx(file_of_role(files, "images", reader), file_of_role(files, "labels", reader),
                    classes);
  }
  if (reader == "cifar_binary") {
    return open_cifar(all_files(files, reader));
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("reader '{}' has no images; legal: fashion_mnist, idx, "
                          "cifar_binary, image_folder",
                          reader));
}

at::Tensor normalise(const at::Tensor& images, const std::vector<double>& mean,
                     const std::vector<double>& std) {
  const auto channels = static_cast<std::int64_t>(mean.size());
  if (channels < 1 || std.size() != mean.size() || images.dim() != 4 ||
      (images.size(1) != channels && images.size(1) != 1)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("images with {} channels do not fit a network with {}",
                            images.dim() == 4 ? images.size(1) : 0, channels));
  }
  const at::Tensor shift = at::tensor(mean, at::kFloat).view({1, channels, 1, 1});
  const at::Tensor scale = at::tensor(std, at::kFloat).view({1, channels, 1, 1});
  const at::Tensor values = images.to(at::kFloat) / 255.0;
  return ((values - shift) / scale).contiguous();  // [n, C, H, W]
}

}  // namespace assay::datasets
