#include <ATen/ATen.h>
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/formats/safetensors_file.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/layer_check.h"
#include "methods/quant/quantized_model.h"

// The files of a quantized model: writing and reading.

namespace assay::quant {
namespace {

constexpr int kFormat = 1;
constexpr const char* kCodes = "codes.safetensors";
constexpr const char* kPrefix = "prefix.safetensors";
constexpr const char* kDescription = "quantization.json";

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.string(), problem),
              {{"file", file.string()}});
}

// As they lie in the file: they are decoded element by element.
models::TensorMap mapped_tensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  models::TensorMap tensors;
  for (const auto& [name, entry] : file->tensors()) {
    tensors.emplace(name, models::mapped_tensor(file, name));
  }
  return tensors;
}

at::Tensor tensor_named(const models::TensorMap& tensors, const std::string& name,
                        const std::filesystem::path& file) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) refuse(file, fmt::format("tensor '{}' is missing", name));
  return found->second;
}

// What a layer's scales are decoded from.
CodedScales read_scales(const std::string& name, const models::TensorMap& tensors,
                        const std::filesystem::path& file) {
  const at::Tensor step = tensor_named(tensors, name + ".scale_step", file);
  if (!at::isFloatingType(step.scalar_type())) {
    refuse(file, fmt::format("tensor '{}.scale_step' must be floating", name));
  }
  const double middle = 1 << (CodedScales::kBits - 1);
  const CodedScales scales{.code = tensor_named(tensors, name + ".scale_code", file),
                           .grid = {.bits = CodedScales::kBits,
                                    .group = CodedScales::kRun,
                                    .scale = step,
                                    .zero = at::full_like(step, middle),
                                    .symmetric = true},
                           .mean = tensor_named(tensors, name + ".scale_mean", file)};
  check_scales(name, scales, file);
  return scales;
}

QuantizedLayer read_layer(const std::string& name, const Json& json,
                          const models::TensorMap& tensors, const std::filesystem::path& codes,
                          const std::filesystem::path& description) {
  const std::string what = fmt::format("{}: layer '{}'", description.string(), name);
  QuantizedLayer layer;
  const std::int64_t bits = integer_member(json, "bits", what);
  if (bits < 1 || bits > 16) {
    refuse(description, fmt::format("layer '{}': bits {} are not from 1 to 16", name, bits));
  }
  layer.grid.bits = static_cast<int>(bits);
  layer.grid.group = integer_member(json, "group", what);
  if (layer.grid.group == 0 || layer.grid.group < -1) {
    refuse(description,
           fmt::format("layer '{}': group {} is neither -1 nor above 0", name, layer.grid.group));
  }
  layer.grid.symmetric = flag_member_or(json, "symmetric", false, what);
  layer.code = tensor_named(tensors, name + ".code", codes);
  if (const auto levels = tensors.find(name + ".levels"); levels != tensors.end()) {
    layer.grid.levels = levels->second;
    if (tensors.contains(name + ".scale_code")) layer.scales = read_scales(name, tensors, codes);
  }
  layer.grid.scale =
      layer.scales ? decode(*layer.scales) : tensor_named(tensors, name + ".scale", codes);
  const bool has_zero = !layer.grid.levels.defined() || tensors.contains(name + ".zero");
  if (has_zero) layer.grid.zero = tensor_named(tensors, name + ".zero", codes);
  if (const auto perm = tensors.find(name + ".perm"); perm != tensors.end()) {
    layer.grid.perm = perm->second.to(at::kLong);
  }
  if (const auto zeta = tensors.find(name + ".zeta"); zeta != tensors.end()) {
    layer.grid.zeta = zeta->second;
  }
  check_layer(name, layer, codes);
  return layer;
}

void read_channel_scales(const Json& json, const models::TensorMap& tensors,
                         const std::filesystem::path& codes,
                         const std::filesystem::path& description, QuantizedModel& model) {
  const Json scaled = json.value("scaled", Json::array());
  if (!scaled.is_array()) refuse(description, "'scaled' must be a list");
  for (const Json& name : scaled) {
    if (!name.is_string()) refuse(description, "'scaled' must be a list of layers");
    const std::string layer = name.get<std::string>();
    model.channel_scales[layer] = tensor_named(tensors, layer + ".channel_scale", codes);
  }
}

void read_parameters(const Json& json, const models::TensorMap& tensors,
                     const std::filesystem::path& codes, const std::filesystem::path& description,
                     QuantizedModel& model) {
  const Json names = json.value("parameters", Json::array());
  if (!names.is_array()) refuse(description, "'parameters' must be a list");
  for (const Json& name : names) {
    if (!name.is_string()) refuse(description, "'parameters' must be a list of names");
    const std::string parameter = name.get<std::string>();
    const at::Tensor value = tensor_named(tensors, parameter, codes);
    if (!at::isFloatingType(value.scalar_type()) || !value.isfinite().all().item<bool>()) {
      refuse(codes, fmt::format("parameter '{}' must hold finite floating values", parameter));
    }
    model.parameters[parameter] = value;
  }
}

// [units, 2, kv_heads, m, head_dim].
at::Tensor key_values_of(const models::Prefix& prefix) {
  std::vector<at::Tensor> units;
  for (const models::KeyValues& pair : prefix.units()) {
    units.push_back(at::cat({pair.keys, pair.values}, 0));
  }
  return at::stack(units);
}

models::Prefix read_prefix(const Json& json, const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kPrefix;
  const std::int64_t length = integer_member(json, "prefix", (folder / kDescription).string());
  const at::Tensor all = tensor_named(models::load_tensors(file), "key_values", file);
  if (all.dim() != 5 || all.size(1) != 2 || all.size(3) != length || all.numel() == 0 ||
      !at::isFloatingType(all.scalar_type())) {
    refuse(file,
           fmt::format("'key_values' must be floating [units, 2, heads, {}, channels]", length));
  }
  if (!all.isfinite().all().item<bool>()) refuse(file, "a value of the prefix is not finite");
  std::vector<models::KeyValues> units;
  for (std::int64_t i = 0; i < all.size(0); ++i) {
    units.push_back({all[i].narrow(0, 0, 1), all[i].narrow(0, 1, 1)});
  }
  return models::Prefix(std::move(units));
}

Json description_of(const QuantizedModel& model) {
  Json layers = Json::object();
  for (const auto& [name, layer] : model.layers) {
    layers[name] = {{"bits", layer.grid.bits},
                    {"group", layer.grid.group},
                    {"symmetric", layer.grid.symmetric}};
  }
  Json activations = Json::object();
  for (const auto& [site, quantizer] : model.activations) activations[site] = to_json(quantizer);
  Json scaled = Json::array();
  for (const auto& [layer, unused] : model.channel_scales) scaled.push_back(layer);
  const StorageCost cost = storage_cost(model);
  Json out = {{"format", kFormat},
              {"method", model.method},
              {"layers", layers},
              {"activations", activations},
              {"scaled", scaled},
              {"prefix", model.prefix.length()},
              {"storage",
               {{"weights", cost.weights},
                {"bits", cost.bits},
                {"bits_per_weight", cost.bits_per_weight()}}}};
  // Not written where there are none: artifacts keep their bytes.
  for (const auto& [name, unused] : model.parameters) out["parameters"].push_back(name);
  return out;
}

}  // namespace

void save_quantized(const std::filesystem::path& folder, const QuantizedModel& model) {
  models::TensorMap tensors;
  for (const auto& [name, layer] : model.layers) {
    tensors[name + ".code"] = layer.code.to(layer.grid.bits <= 8 ? at::kByte : at::kInt);
    if (layer.scales) {
      tensors[name + ".scale_code"] = layer.scales->code;
      tensors[name + ".scale_step"] = layer.scales->grid.scale;
      tensors[name + ".scale_mean"] = layer.scales->mean;
    } else {
      tensors[name + ".scale"] = layer.grid.scale;
    }
    if (layer.grid.zero.defined()) tensors[name + ".zero"] = layer.grid.zero;
    if (layer.grid.levels.defined()) tensors[name + ".levels"] = layer.grid.levels;
    if (layer.grid.perm.defined()) tensors[name + ".perm"] = layer.grid.perm.to(at::kInt);
    if (layer.grid.zeta.defined()) tensors[name + ".zeta"] = layer.grid.zeta;
  }
  for (const auto& [layer, factors] : model.channel_scales) {
    tensors[layer + ".channel_scale"] = factors;
  }
  for (const auto& [name, value] : model.parameters) tensors[name] = value;
  // Codes are never changed in place, so those that lie in a file need not stay in memory.
  models::save_tensors(folder / kCodes, tensors, {}, models::drop_pages);
  if (!model.prefix.empty()) {
    models::save_tensors(folder / kPrefix, {{"key_values", key_values_of(model.prefix)}});
  }
  write_file_atomically(folder / kDescription, description_of(model).dump(1) + "\n");
}

void drop_pages(const QuantizedLayer& layer) {
  models::drop_pages(layer.code);
  models::drop_pages(layer.grid.scale);
  models::drop_pages(layer.grid.zero);
}

QuantizedModel load_quantized(const std::filesystem::path& folder) {
  const std::filesystem::path description = folder / kDescription, codes = folder / kCodes;
  const Json json = parse_json(read_file(description), description.string());
  if (!json.is_object() || json.value("format", Json()) != Json(kFormat)) {
    refuse(description, fmt::format("'format' must be {}", kFormat));
  }
  for (const char* name : {"layers", "activations"}) {
    if (!json.contains(name) || !json[name].is_object()) {
      refuse(description, fmt::format("'{}' must be a mapping", name));
    }
  }
  if (!json.contains("method") || !json["method"].is_string()) {
    refuse(description, "'method' must be a text");
  }
  QuantizedModel model{.method = json["method"].get<std::string>()};
  const models::TensorMap tensors = mapped_tensors(codes);
  for (const auto& item : json["layers"].items()) {
    QuantizedLayer layer = read_layer(item.key(), item.value(), tensors, codes, description);
    drop_pages(layer);  // its check has read them
    model.layers.emplace(item.key(), std::move(layer));
  }
  read_channel_scales(json, tensors, codes, description, model);
  read_parameters(json, tensors, codes, description, model);
  if (json.value("prefix", Json(0)) != Json(0)) model.prefix = read_prefix(json, folder);
  for (const auto& item : json["activations"].items()) {
    model.activations.emplace(
        item.key(),
        activation_quantizer_from(
            item.value(), fmt::format("{}: activations.{}", description.string(), item.key())));
  }
  return model;
}

}  // namespace assay::quant
