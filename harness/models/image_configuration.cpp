#include "harness/models/image_configuration.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/base/error.h"

namespace assay::models {
namespace {

void take_extents(Json& fields, const Json& extents) {
  if (!extents.is_array() || extents.size() != 3) return;
  fields["in_chans"] = extents[0];
  fields["img_size"] = extents[1];
}

void take_facts(Json& fields, const Json& facts, const char* size_name) {
  if (!facts.is_object()) return;
  for (const char* name : {"mean", "std", "num_classes"})
    if (facts.contains(name)) fields[name] = facts[name];
  if (facts.contains(size_name)) take_extents(fields, facts[size_name]);
}

}  // namespace

std::vector<ParameterSchema> image_fields(std::int64_t img_size, std::int64_t num_classes) {
  return {
      integer_field("in_chans", 3, 1, 1024, "Channels of the images."),
      integer_field("img_size", img_size, 1, 4096, "Height and width of the images, in pixels."),
      integer_field("num_classes", num_classes, 1, 1 << 24, "Outputs of the head."),
      reals_field("mean", {0.485, 0.456, 0.406}, -1e6, 1e6,
                  "Mean per channel that images are normalised with."),
      reals_field("std", {0.229, 0.224, 0.225}, 1e-9, 1e6,
                  "Deviation per channel that images are normalised with."),
  };
}

Json with_image_facts(Json fields, const Json& given) {
  if (!given.is_object()) return given;
  if (given.contains("pretrained_cfg")) take_facts(fields, given["pretrained_cfg"], "input_size");
  if (given.contains("input")) {
    take_extents(fields, given["input"]);
    take_facts(fields, given["input"], "size");
  }
  if (given.contains("classes") && given["classes"].is_array())
    fields["num_classes"] = given["classes"].size();
  for (const char* group : {"model_args", ""}) {
    const Json& more = *group != '\0' ? given.value(group, Json()) : given;
    if (!more.is_object()) continue;
    for (const auto& item : more.items())
      if (!item.value().is_null()) fields[item.key()] = item.value();
  }
  return fields;
}

NetworkInfo image_info(const std::string& family, const Configuration& c) {
  const std::int64_t channels = c.integer("in_chans");
  const std::int64_t size = c.integer("img_size");
  for (const char* name : {"mean", "std"})
    if (static_cast<std::int64_t>(c.reals(name).size()) != channels)
      c.reject(name, fmt::format("has {} values for {} channels", c.reals(name).size(), channels));
  return {.family = family,
          .task = Task::kClassification,
          .outputs = c.integer("num_classes"),
          .input = {channels, size, size},
          .mean = c.reals("mean"),
          .std = c.reals("std")};
}

std::string architecture_of(const Json& given) {
  if (!given.is_object()) return "";
  const auto found = given.find("architecture");
  if (found == given.end() || !found->is_string()) return "";
  const auto text = found->get<std::string>();
  return text.substr(0, text.find('.'));
}

void check_images(const at::Tensor& images, const NetworkInfo& info, bool exact) {
  if (images.dim() == 4 && images.size(1) == info.input[0] &&
      (!exact || (images.size(2) == info.input[1] && images.size(3) == info.input[2])))
    return;
  throw Error(ErrorKind::kData,
              fmt::format("the network takes images [batch, {}], not a tensor [{}]",
                          exact ? fmt::format("{}", fmt::join(info.input, ", "))
                                : fmt::format("{}, height, width", info.input[0]),
                          fmt::join(images.sizes(), ", ")));
}

}  // namespace assay::models
