#include "harness/formats/image_preprocessing.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>

#include "harness/base/error.h"

namespace assay {
namespace {

constexpr std::int64_t kMaxSize = 4096;
constexpr std::int64_t kDefaultSize = 224;
constexpr double kDefaultCrop = 0.875;
constexpr double kLeastCrop = 0.05;

// A pretrained_cfg with where it stands, for errors.
class PretrainedConfiguration {
 public:
  PretrainedConfiguration(const Json& fields, std::string file)
      : fields_(fields), file_(std::move(file)) {}

  // Null if the field is missing, null, or, as timm reads it, 0 or an empty text.
  const Json& at(const char* name) const {
    static const Json kNull;
    const auto found = fields_.find(name);
    if (found == fields_.end()) return kNull;
    const bool unset = *found == 0 || *found == "" || *found == false;
    return unset ? kNull : *found;
  }

  [[noreturn]] void refuse(ErrorKind kind, const char* name, const std::string& expected) const {
    const std::string value = fields_.at(name).dump().substr(0, 100);
    throw Error(kind,
                fmt::format("'{}': pretrained_cfg has {} {}; expected {}; or name another "
                            "'preprocess'",
                            file_, name, value, expected),
                {{"file", file_}, {"field", name}, {"value", value}});
  }

  // Pixels of a square [C, H, W]; 0: not stated.
  std::int64_t side(const char* name) const {
    const Json& extents = at(name);
    if (extents.is_null()) return 0;
    const bool fits = extents.is_array() && extents.size() == 3 && extents[1] == extents[2] &&
                      extents[1].is_number_integer() && extents[1] >= 1 && extents[1] <= kMaxSize;
    if (!fits) {
      refuse(ErrorKind::kUnsupported, name,
             fmt::format("[channels, size, size] with a size of 1 to {}", kMaxSize));
    }
    return extents[1].get<std::int64_t>();
  }

  double crop(const char* name) const {
    const Json& value = at(name);
    if (value.is_null()) return 0;
    if (!value.is_number() || value < kLeastCrop || value > 1) {
      refuse(ErrorKind::kUnsupported, name, fmt::format("a number from {} to 1", kLeastCrop));
    }
    return value.get<double>();
  }

  std::string choice(const char* name, std::initializer_list<const char*> legal) const {
    const Json& value = at(name);
    if (value.is_null()) return *legal.begin();
    std::string list;
    for (const char* each : legal) {
      if (value == each) return each;
      list += (list.empty() ? "" : " or ") + std::string(each);
    }
    refuse(ErrorKind::kUnsupported, name, list);
  }

 private:
  const Json& fields_;
  std::string file_;
};

// The object that says how images are prepared, or null.
const Json* pretrained_fields(const Json& configuration) {
  if (!configuration.is_object()) return nullptr;
  const auto nested = configuration.find("pretrained_cfg");
  if (nested != configuration.end()) return nested->is_object() ? &*nested : nullptr;
  for (const char* name : {"crop_pct", "interpolation", "input_size"}) {
    if (configuration.contains(name)) return &configuration;
  }
  return nullptr;
}

Json timm_geometry(const PretrainedConfiguration& fields, bool train_size) {
  const std::int64_t train = fields.side("input_size");
  std::int64_t size = train == 0 ? kDefaultSize : train;
  double crop = fields.crop("crop_pct");
  if (crop == 0) crop = kDefaultCrop;
  if (!train_size) {
    const std::int64_t test = fields.side("test_input_size");
    if (test != 0) size = test;
    const double test_crop = fields.crop("test_crop_pct");
    if (test_crop != 0) crop = test_crop;
  }
  return {{"size", size},
          {"crop_pct", crop},
          {"crop_mode", fields.choice("crop_mode", {"center", "squash"})},
          {"interpolation", fields.choice("interpolation", {"bicubic", "bilinear"})}};
}

}  // namespace

Json resolve_preprocessing(const std::string& name, const Json& configuration,
                           const std::string& file) {
  const bool timm = name == kPreprocessTimm || name == kPreprocessTimmTrainSize;
  if (!timm && name != kPreprocessAuto) return {{"name", name}};
  const Json* fields = pretrained_fields(configuration);
  if (fields == nullptr && !timm) return {{"name", kPreprocessNone}};
  if (fields == nullptr) {
    throw Error(ErrorKind::kConfig,
                fmt::format("preprocess '{}' is what the checkpoint's pretrained_cfg says, but {} "
                            "has none; name the one that the network was evaluated with, such as "
                            "'vit_900', 'deit_875' or 'torchvision_256'",
                            name, file.empty() ? "the network" : fmt::format("'{}'", file)),
                {{"file", file}, {"field", "pretrained_cfg"}, {"value", name}});
  }
  Json preprocessing =
      timm_geometry(PretrainedConfiguration(*fields, file), name == kPreprocessTimmTrainSize);
  preprocessing["name"] = kPreprocessTimm;
  return preprocessing;
}

std::string shown_preprocessing(const Json& preprocessing) {
  if (!preprocessing.is_object()) return kPreprocessNone;
  const std::string name = preprocessing.value("name", "");
  if (!preprocessing.contains("size")) return name;
  return fmt::format("{} ({} {} crop_pct {}, {})", name, preprocessing.value("interpolation", ""),
                     preprocessing.value("size", 0), preprocessing.value("crop_pct", 0.0),
                     preprocessing.value("crop_mode", ""));
}

}  // namespace assay
