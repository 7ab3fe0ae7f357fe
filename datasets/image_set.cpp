#include "datasets/image_set.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::datasets {
std::string ImageSet::name(std::int64_t index) const { return fmt::format("image {}", index); }

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
