#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/models/network.h"

namespace assay::models {

// ViT, DeiT and DeiT-III as timm builds them. `class_position` false (DeiT-III): the position
// embedding covers the patches only.
struct VitConfiguration {
  std::int64_t patch_size = 16;
  std::int64_t embed_dim = 0;
  std::int64_t depth = 0;
  std::int64_t num_heads = 0;
  std::int64_t hidden_dim = 0;  // of the MLP: embed_dim * mlp_ratio
  bool qkv_bias = true;
  bool class_position = true;
  bool layer_scale = false;
  bool distilled = false;
  double norm_eps = 1e-6;
  NetworkInfo info;
  Json normal_form;  // the fields above under their names in config.json

  std::int64_t patches() const {
    return (info.input[1] / patch_size) * (info.input[1] / patch_size);
  }
  std::int64_t prefix_tokens() const { return distilled ? 2 : 1; }
};

std::vector<ParameterSchema> vit_fields();

// Reads explicit fields ("embed_dim": 192, ...), or a timm name in "architecture"
// ("deit_tiny_patch16_224") with timm's pretrained_cfg; fields override the name. Throws
// Error(kConfig | kUnsupported) naming the field.
VitConfiguration vit_configuration(const Json& given);

// Whether a config.json speaks of a plain vision transformer.
bool describes_vit(const Json& given);

}  // namespace assay::models
