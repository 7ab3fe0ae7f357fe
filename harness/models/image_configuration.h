#pragma once

#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/models/configuration.h"
#include "harness/models/network.h"

namespace assay::models {

// Fields that every image network has: in_chans, img_size, mean, std, num_classes.
std::vector<ParameterSchema> image_fields(std::int64_t img_size, std::int64_t num_classes);

// The same facts out of the forms that people have, under these names: timm's "pretrained_cfg", an
// "input" of extents ([3, 32, 32]) or an object of size, mean and std, and a list of "classes".
// What `given` says under the names themselves wins.
Json with_image_facts(Json fields, const Json& given);

// NetworkInfo of a classifier. Throws Error(kConfig) if mean or std do not fit the channels.
NetworkInfo image_info(const std::string& family, const Configuration& c);

// "architecture" of a config.json without timm's tag, or "".
std::string architecture_of(const Json& given);

// Throws Error(kData) unless `images` are [B, C, H, W] of the network's channels, and of its height
// and width if `exact`.
void check_images(const at::Tensor& images, const NetworkInfo& info, bool exact);

}  // namespace assay::models
