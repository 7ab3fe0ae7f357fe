#pragma once

#include <string>

#include "harness/base/json.h"

// Which preprocessing an image folder gets, as recipes hold it (docs/guides/data.md).

namespace assay {

// Names beside those of the table in datasets/preprocess.h.
inline constexpr const char* kPreprocessAuto = "auto";  // ask the next source
inline constexpr const char* kPreprocessNone = "none";  // images as they are stored
inline constexpr const char* kPreprocessTimm = "timm";  // by the checkpoint's pretrained_cfg
inline constexpr const char* kPreprocessTimmTrainSize = "timm_train_size";

// The member "preprocess" of a recipe's data: {"name": NAME}, and for timm's two names also "size"
// (pixels of the cropped square), "crop_pct", "crop_mode" ("center", "squash") and "interpolation"
// ("bilinear", "bicubic") out of `configuration`, a config.json that has a "pretrained_cfg" or is
// one, as older files of timm are. What it leaves out has timm's defaults: 224, 0.875, center,
// bicubic. "timm" takes the size that timm validates at, "timm_train_size" the other where a
// checkpoint has two. "auto" is timm's rule where the checkpoint has a pretrained_cfg, else "none".
// Throws Error(kConfig | kUnsupported) naming `file`, the field and its value for what is not
// offered, and for timm's names without a pretrained_cfg. Source: timm 1.0, resolve_data_config.
Json resolve_preprocessing(const std::string& name, const Json& configuration,
                           const std::string& file);

// "timm (bicubic 224 crop_pct 0.9, center)", for people; "none" for null.
std::string shown_preprocessing(const Json& preprocessing);

}  // namespace assay
