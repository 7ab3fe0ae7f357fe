#include "harness/models/vit_configuration.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <optional>
#include <regex>

#include "harness/base/error.h"
#include "harness/models/configuration.h"
#include "harness/models/image_configuration.h"

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

// One object of plain fields out of the forms that people have.
Json flattened(const Json& given) {
  const std::string architecture = architecture_of(given);
  Json start = fields_of_name(architecture).value_or(Json::object());
  if (architecture.find("Distilled") != std::string::npos) start["distilled"] = true;
  // As timm reads it, a pretrained_cfg that is silent about statistics means ImageNet's.
  if (given.is_object() && given.value("pretrained_cfg", Json()).is_object()) {
    start.erase("mean");
    start.erase("std");
  }
  Json fields = with_image_facts(std::move(start), given);
  if (fields.contains("init_values")) fields["layer_scale"] = true;
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

void check_relations(const Configuration& c) {
  const std::int64_t size = c.integer("img_size");
  const std::int64_t patch = c.integer("patch_size");
  if (size % patch != 0)
    c.reject("img_size", fmt::format("is {}, not a multiple of patch_size {}", size, patch));
  const std::int64_t width = c.integer("embed_dim");
  const std::int64_t heads = c.integer("num_heads");
  if (width % heads != 0)
    c.reject("embed_dim", fmt::format("is {}, not a multiple of num_heads {}", width, heads));
}

}  // namespace

std::vector<ParameterSchema> vit_fields() {
  std::vector<ParameterSchema> all = image_fields(224, 1000);
  const std::vector<ParameterSchema> more{
      integer_field("patch_size", 16, 1, 1024, "Height and width of a patch, in pixels."),
      integer_field("embed_dim", nullptr, 1, 1 << 16, "Width of the residual stream."),
      integer_field("depth", nullptr, 1, 1024, "Number of blocks."),
      integer_field("num_heads", nullptr, 1, 1024, "Attention heads of a block."),
      real_field("mlp_ratio", 4.0, 0.01, 64, "Width of the MLP relative to embed_dim."),
      flag_field("qkv_bias", true, "Whether the query, key and value projection has a bias."),
      flag_field("no_embed_class", false,
                 "Whether the position embedding leaves out the class token (DeiT-III)."),
      flag_field("layer_scale", false,
                 "Whether each residual branch is scaled per channel (DeiT-III)."),
      flag_field("distilled", false, "Whether there is a distillation token with its own head."),
      real_field("norm_eps", 1e-6, 0, 1, "Epsilon of every LayerNorm."),
  };
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

VitConfiguration vit_configuration(const Json& given) {
  const Configuration c("vit", vit_fields(), flattened(given));
  refuse_what_is_not_offered(c);
  check_relations(c);
  VitConfiguration v;
  v.patch_size = c.integer("patch_size");
  v.embed_dim = c.integer("embed_dim");
  v.depth = c.integer("depth");
  v.num_heads = c.integer("num_heads");
  v.hidden_dim = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(static_cast<double>(v.embed_dim) * c.real("mlp_ratio")));
  v.qkv_bias = c.flag("qkv_bias");
  v.class_position = !c.flag("no_embed_class");
  v.layer_scale = c.flag("layer_scale");
  v.distilled = c.flag("distilled");
  v.norm_eps = c.real("norm_eps");
  v.info = image_info("vit", c);
  v.normal_form = c.values();
  v.normal_form["architecture"] = "vit";
  return v;
}

bool describes_vit(const Json& given) {
  const std::string architecture = architecture_of(given);
  return fields_of_name(architecture).has_value() ||
         architecture.find("VisionTransformer") != std::string::npos;
}

}  // namespace assay::models
