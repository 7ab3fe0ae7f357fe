#include "datasets/preprocess.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/formats/image_preprocessing.h"

namespace assay::datasets {
namespace {

const std::vector<Preprocessing>& table() {
  static const std::vector<Preprocessing> kTable = {
      {.name = kPreprocessNone},
      {.name = "deit_875", .resize = 256, .crop = 224},
      {.name = "vit_900", .resize = 248, .crop = 224},
      {.name = "swin_900", .resize = 248, .crop = 224},
      {.name = "timm_1000", .resize = 224, .crop = 224},
      {.name = "torchvision_256",
       .resize = 256,
       .interpolation = Interpolation::kBilinear,
       .crop = 224},
      {.name = "mimiq", .resize = 256, .interpolation = Interpolation::kBilinear, .crop = 224},
      {.name = "cifar", .exact = 32},
  };
  return kTable;
}

at::Tensor resized(const at::Tensor& image, const Preprocessing& preprocessing) {
  const std::int64_t size = preprocessing.resize;
  const std::int64_t height = image.size(1);
  const std::int64_t width = image.size(2);
  const auto longer = [&](std::int64_t longer_side, std::int64_t shorter_side) {
    return static_cast<std::int64_t>(static_cast<double>(size) * static_cast<double>(longer_side) /
                                     static_cast<double>(shorter_side));
  };
  const bool both = preprocessing.squash;
  const std::int64_t to_height = both || height <= width ? size : longer(height, width);
  const std::int64_t to_width = both || width <= height ? size : longer(width, height);
  return resample(image, to_height, to_width, preprocessing.interpolation);
}

}  // namespace

std::vector<std::string> preprocessing_names() {
  std::vector<std::string> names{kPreprocessAuto};
  for (const Preprocessing& entry : table()) {
    names.push_back(entry.name);
    if (entry.name == "swin_900") {
      names.insert(names.end(), {kPreprocessTimm, kPreprocessTimmTrainSize});
    }
  }
  return names;
}

Preprocessing preprocessing_named(const std::string& name) {
  if (name == "train_rrc") {
    throw Error(ErrorKind::kUnsupported,
                "preprocessing 'train_rrc' (random crops and flips) is not supported; use "
                "'torchvision_256'");
  }
  const auto found = std::find_if(table().begin(), table().end(),
                                  [&](const Preprocessing& entry) { return entry.name == name; });
  if (found == table().end()) {
    throw Error(ErrorKind::kConfig, fmt::format("unknown preprocessing '{}'{}", name,
                                                suggestion(name, preprocessing_names())));
  }
  return *found;
}

Preprocessing preprocessing_from(const Json& preprocessing) {
  if (preprocessing.is_null()) {
    return preprocessing_named(kPreprocessNone);
  }
  try {
    const auto name = preprocessing.at("name").get<std::string>();
    if (!preprocessing.contains("size")) {
      return preprocessing_named(name);
    }
    const auto size = preprocessing.at("size").get<std::int64_t>();
    const auto crop = preprocessing.at("crop_pct").get<double>();
    return {.name = name,
            .resize = static_cast<std::int64_t>(std::floor(static_cast<double>(size) / crop)),
            .interpolation = preprocessing.at("interpolation") == "bilinear"
                                 ? Interpolation::kBilinear
                                 : Interpolation::kBicubic,
            .crop = size,
            .squash = preprocessing.at("crop_mode") == "squash"};
  } catch (const Json::exception&) {
    throw Error(ErrorKind::kConfig,
                fmt::format("the recipe's preprocessing {} lacks a member", preprocessing.dump()));
  }
}

void require_sides(const Preprocessing& preprocessing, std::int64_t width, std::int64_t height,
                   const std::string& what) {
  constexpr std::int64_t kMost = 100;
  const bool resizes = preprocessing.resize > 0 && !preprocessing.squash;
  if (!resizes || std::max(width, height) <= kMost * std::min(width, height)) return;
  throw Error(ErrorKind::kData,
              fmt::format("{}: {} x {} pixels; before a resize the longer side may be at most {} "
                          "times the shorter one; crop or remove the image",
                          what, width, height, kMost),
              {{"file", what}});
}

at::Tensor preprocess_image(const at::Tensor& image, const Preprocessing& preprocessing,
                            const std::string& what) {
  const std::int64_t exact = preprocessing.exact;
  if (exact > 0 && (image.size(1) != exact || image.size(2) != exact)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} x {} pixels; preprocessing '{}' takes {} x {}", what,
                            image.size(2), image.size(1), preprocessing.name, exact, exact),
                {{"file", what}});
  }
  at::Tensor result = image;
  if (preprocessing.resize > 0) {
    require_sides(preprocessing, image.size(2), image.size(1), what);
    result = resized(result, preprocessing);
  }
  if (preprocessing.crop > 0) {
    const auto begin = [&](std::int64_t side) {
      return static_cast<std::int64_t>(
          std::nearbyint(static_cast<double>(side - preprocessing.crop) / 2));
    };
    result = result.narrow(1, begin(result.size(1)), preprocessing.crop)
                 .narrow(2, begin(result.size(2)), preprocessing.crop);
  }
  return result.contiguous();
}

}  // namespace assay::datasets
