#include "harness/models/vit_configuration.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <regex>

#include "harness/core/error.h"
#include "harness/models/configuration.h"

namespace assay::models {
namespace {

struct Size {
  const char* name;
  std::int64_t embed_dim, depth, num_heads;
};

constexpr std::array<Size, 5> kSizes{{{"tiny", 192, 12, 3},
                                      {"small", 384, 12, 6},
                                      {"base", 768, 12, 12},
                                      {"large", 1024, 24, 16},
                                      {"huge", 1280, 32, 16}}};

std::string architecture_of(const Json& given) {
  const auto found = given.find("architecture");
  return found != given.end() && found->is_string() ? found->get<std::string>() : "";
}

// The fields that a timm model name stands for, or nothing.
std::optional<Json> fields_of_name(const std::string& name) {
  static const std::regex form(
      "(vit|deit|deit3)_(tiny|small|base|large|huge)(_distilled)?_patch([0-9]{1,2})_([0-9]{2,3})");
  std::smatch part;
  if (!std::regex_match(name, part, form)) return std::nullopt;
  Json fields = Json::object();
  for (const Size& size : kSizes) {
    if (part[2] != size.name) continue;
    fields["embed_dim"] = size.embed_dim;
    fields["depth"] = size.depth;
    fields["num_heads"] = size.num_heads;
  }
  fields["patch_size"] = std::stoi(part[4]);
  fields["img_size"] = std::stoi(part[5]);
  fields["distilled"] = part[3].matched;
  fields["no_embed_class"] = part[1] == "deit3";
  fields["layer_scale"] = part[1] == "deit3";
  // timm's vit_* are trained with inception statistics, DeiT with those of ImageNet.
  if (part[1] == "vit") {
    fields["mean"] = {0.5, 0.5, 0.5};
    fields["std"] = {0.5, 0.5, 0.5};
  }
  return fields;
}

void overlay(Json& fields, const Json& more) {
  if (!more.is_object()) return;
  for (const auto& item : more.items())
    if (!item.value().is_null()) fields[item.key()] = item.value();
}

// One object of plain fields out of the forms that people have.
Json flattened(const Json& given) {
  const std::string architecture = architecture_of(given);
  Json fields =
      fields_of_name(architecture.substr(0, architecture.find('.'))).value_or(Json::object());
  if (given.contains("pretrained_cfg") && given["pretrained_cfg"].is_object()) {
    const Json& pretrained = given["pretrained_cfg"];
    for (const char* name : {"mean", "std", "num_classes"})
      if (pretrained.contains(name)) fields[name] = pretrained[name];
    const auto input = pretrained.find("input_size");
    if (input != pretrained.end() && input->is_array() && input->size() == 3 &&
        (*input)[0].is_number_integer() && (*input)[1].is_number_integer()) {
      fields["in_chans"] = (*input)[0];
      fields["img_size"] = (*input)[1];
    }
  }
  if (architecture.find("Distilled") != std::string::npos) fields["distilled"] = true;
  if (given.contains("model_args")) overlay(fields, given["model_args"]);
  overlay(fields, given);
  if (fields.contains("init_values") && !fields["init_values"].is_null())
    fields["layer_scale"] = true;
  return fields;
}

void refuse_what_is_not_offered(const Configuration& c) {
  c.require("global_pool", "token", "the head reads the class token");
  c.require("class_token", true, "the head reads the class token");
  c.require("reg_tokens", 0, "register tokens are not built");
  c.require("pre_norm", false, "there is no norm before the blocks");
  c.require("qk_norm", false, "queries and keys are not normalised");
  c.require("fc_norm", false, "the head has no norm of its own");
  c.require("scale_attn_norm", false, "there is no norm inside attention");
  c.require("scale_mlp_norm", false, "there is no norm inside the MLP");
  const auto act = c.given().find("act");
  if (act != c.given().end() && *act != "gelu")
    c.require("act", "gelu (erf)", "the activation is the exact GELU");
  c.require("act_layer", "gelu", "the activation is the exact GELU");
}

void check_relations(const Configuration& c, const VitConfiguration& v) {
  if (v.img_size % v.patch_size != 0)
    c.reject("img_size",
             fmt::format("is {}, not a multiple of patch_size {}", v.img_size, v.patch_size));
  if (v.embed_dim % v.num_heads != 0)
    c.reject("embed_dim",
             fmt::format("is {}, not a multiple of num_heads {}", v.embed_dim, v.num_heads));
  for (const auto& [name, values] : {std::pair{"mean", &v.mean}, std::pair{"std", &v.std}})
    if (static_cast<std::int64_t>(values->size()) != v.in_chans)
      c.reject(name, fmt::format("has {} values for {} channels", values->size(), v.in_chans));
}

}  // namespace

std::vector<ParameterSchema> vit_fields() {
  return {
      integer_field("img_size", 224, 1, 4096, "Height and width of the images, in pixels."),
      integer_field("patch_size", 16, 1, 1024, "Height and width of a patch, in pixels."),
      integer_field("in_chans", 3, 1, 1024, "Channels of the images."),
      integer_field("embed_dim", nullptr, 1, 1 << 16, "Width of the residual stream."),
      integer_field("depth", nullptr, 1, 1024, "Number of blocks."),
      integer_field("num_heads", nullptr, 1, 1024, "Attention heads of a block."),
      real_field("mlp_ratio", 4.0, 0.01, 64, "Width of the MLP relative to embed_dim."),
      integer_field("num_classes", 1000, 1, 1 << 24, "Outputs of the head."),
      flag_field("qkv_bias", true, "Whether the query, key and value projection has a bias."),
      flag_field("no_embed_class", false,
                 "Whether the position embedding leaves out the class token (DeiT-III)."),
      flag_field("layer_scale", false,
                 "Whether each residual branch is scaled per channel (DeiT-III)."),
      flag_field("distilled", false, "Whether there is a distillation token with its own head."),
      real_field("norm_eps", 1e-6, 0, 1, "Epsilon of every LayerNorm."),
      reals_field("mean", {0.485, 0.456, 0.406}, -1e6, 1e6,
                  "Mean per channel that images are normalised with."),
      reals_field("std", {0.229, 0.224, 0.225}, 1e-9, 1e6,
                  "Deviation per channel that images are normalised with."),
  };
}

VitConfiguration vit_configuration(const Json& given) {
  if (!given.is_object()) Configuration("vit", {}, given);  // throws with the family's name
  const Configuration c("vit", vit_fields(), flattened(given));
  refuse_what_is_not_offered(c);
  VitConfiguration v;
  v.img_size = c.integer("img_size");
  v.patch_size = c.integer("patch_size");
  v.in_chans = c.integer("in_chans");
  v.embed_dim = c.integer("embed_dim");
  v.depth = c.integer("depth");
  v.num_heads = c.integer("num_heads");
  v.hidden_dim = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(v.embed_dim) * c.real("mlp_ratio")));
  v.num_classes = c.integer("num_classes");
  v.qkv_bias = c.flag("qkv_bias");
  v.class_position = !c.flag("no_embed_class");
  v.layer_scale = c.flag("layer_scale");
  v.distilled = c.flag("distilled");
  v.norm_eps = c.real("norm_eps");
  v.mean = c.reals("mean");
  v.std = c.reals("std");
  check_relations(c, v);
  v.normal_form = c.values();
  v.normal_form["architecture"] = "vit";
  return v;
}

bool describes_vit(const Json& given) {
  const std::string architecture = architecture_of(given);
  return fields_of_name(architecture.substr(0, architecture.find('.'))).has_value() ||
         architecture.find("VisionTransformer") != std::string::npos;
}

}  // namespace assay::models
