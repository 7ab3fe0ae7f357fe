#include "methods/quant/quantized_model.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/layer_check.h"

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

// In the dtype and on the device of the network.
models::Prefix fitted(const models::Prefix& prefix, const models::Network& network) {
  const auto like = at::TensorOptions().dtype(network.dtype()).device(network.device());
  std::vector<models::KeyValues> units = prefix.units();
  for (models::KeyValues& pair : units) {
    pair = {pair.keys.to(like), pair.values.to(like)};
  }
  return models::Prefix(std::move(units));
}

// The weight that a layer stands for, [out, in] or a convolution.
at::Tensor weight_of(const QuantizedLayer& layer, at::IntArrayRef shape, at::ScalarType type) {
  return decode(layer.code, layer.grid).reshape(shape).to(type);
}

void drop_pages(const QuantizedLayer& layer) {
  models::drop_pages(layer.code);
  models::drop_pages(layer.grid.scale);
  models::drop_pages(layer.grid.zero);
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
  return {{"format", kFormat},
          {"method", model.method},
          {"layers", layers},
          {"activations", activations},
          {"scaled", scaled},
          {"prefix", model.prefix.length()},
          {"storage",
           {{"weights", cost.weights},
            {"bits", cost.bits},
            {"bits_per_weight", cost.bits_per_weight()}}}};
}

}  // namespace

StorageCost storage_cost(const QuantizedLayer& layer) {
  constexpr std::int64_t kScaleBits = 16, kPermBits = 32, kZetaBits = 16, kLevelBits = 32;
  const Grid& grid = layer.grid;
  StorageCost cost{.weights = layer.code.numel(), .bits = layer.code.numel() * grid.bits};
  cost.bits += layer.scales ? storage_bits(*layer.scales) : grid.scale.numel() * kScaleBits;
  if (grid.zero.defined() && !grid.symmetric) cost.bits += grid.zero.numel() * grid.bits;
  if (grid.levels.defined()) cost.bits += grid.levels.numel() * kLevelBits;
  if (grid.perm.defined()) cost.bits += grid.perm.numel() * kPermBits;
  if (grid.zeta.defined()) cost.bits += grid.zeta.numel() * kZetaBits;
  return cost;
}

StorageCost storage_cost(const QuantizedModel& model) {
  StorageCost all;
  for (const auto& [name, layer] : model.layers) {
    const StorageCost cost = storage_cost(layer);
    all.weights += cost.weights;
    all.bits += cost.bits;
  }
  return all;
}

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
  // Codes are never changed in place, so those that lie in a file need not stay in memory.
  models::save_tensors(folder / kCodes, tensors, {}, models::drop_pages);
  if (!model.prefix.empty()) {
    models::save_tensors(folder / kPrefix, {{"key_values", key_values_of(model.prefix)}});
  }
  write_file_atomically(folder / kDescription, description_of(model).dump(1) + "\n");
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
  if (json.value("prefix", Json(0)) != Json(0)) model.prefix = read_prefix(json, folder);
  for (const auto& item : json["activations"].items()) {
    model.activations.emplace(
        item.key(),
        activation_quantizer_from(
            item.value(), fmt::format("{}: activations.{}", description.string(), item.key())));
  }
  return model;
}

void apply_layer(const std::string& name, const QuantizedLayer& layer, models::Network& network) {
  const std::string parameter = name + ".weight";
  if (!network.parameters().contains(parameter)) {
    throw Error(
        ErrorKind::kData,
        fmt::format("quantized layer '{}' is not in this {} network", name, network.info().family),
        {{"layer", name}});
  }
  models::ParameterTable& parameters = network.parameters();
  const std::vector<std::int64_t> shape = parameters.shape(parameter).sizes().vec();
  const at::ScalarType type = parameters.shape(parameter).scalar_type();
  const std::int64_t values = parameters.shape(parameter).numel();
  if (shape.front() != layer.code.size(0) || values != layer.code.numel()) {
    throw Error(ErrorKind::kData,
                fmt::format("quantized layer '{}' is [{}, {}], but the network's weight has {} "
                            "rows and {} values",
                            name, layer.code.size(0), layer.code.size(1), shape.front(), values),
                {{"layer", name}});
  }
  if (!parameters.may_defer(parameter)) {
    parameters.at(parameter) = weight_of(layer, shape, type).to(network.device());
    return;
  }
  parameters.defer(parameter, type, [layer, shape, type] {
    at::Tensor weight = weight_of(layer, shape, type);
    drop_pages(layer);
    return weight;
  });
}

void scale_channels(const models::ScaleGroup& group, const at::Tensor& factors,
                    models::Network& network) {
  const std::string& first = group.layers.front();
  models::ParameterTable& parameters = network.parameters();
  for (const std::string& layer : group.layers) {
    const at::Tensor& weight = parameters.shape(layer + ".weight");
    if (factors.dim() != 1 || factors.size(0) != weight.size(1) ||
        !factors.isfinite().all().item<bool>() || !factors.gt(0).all().item<bool>()) {
      throw Error(ErrorKind::kData,
                  fmt::format("the channel scales of layer '{}' are not {} factors above 0", first,
                              weight.size(1)),
                  {{"layer", first}});
    }
    parameters.update(layer + ".weight", weight.scalar_type(), [factors](const at::Tensor& value) {
      return value * factors.to(value.options());
    });
  }
  for (const std::string& name : group.producers) {
    const at::ScalarType type = parameters.shape(name).scalar_type();
    parameters.update(name, type, [factors](const at::Tensor& value) {
      const at::Tensor divisor = factors.to(value.options());
      return value.dim() == 1 ? value / divisor : value / divisor.unsqueeze(1);
    });
  }
}

std::unique_ptr<models::Tap> apply(const QuantizedModel& model, models::Network& network) {
  std::size_t scaled = 0;
  for (const models::ScaleGroup& group : network.scale_groups()) {
    const auto found = model.channel_scales.find(group.layers.front());
    if (found == model.channel_scales.end()) continue;
    scale_channels(group, found->second, network);
    ++scaled;
  }
  if (scaled != model.channel_scales.size()) {
    throw Error(ErrorKind::kData,
                fmt::format("the channels of a layer are scaled that starts no group of this {} "
                            "network, '{}' the first of {}",
                            network.info().family, model.channel_scales.begin()->first,
                            model.channel_scales.size()));
  }
  for (const auto& [name, layer] : model.layers) apply_layer(name, layer, network);
  if (!model.prefix.empty()) network.set_prefix(fitted(model.prefix, network));
  if (model.activations.empty()) return std::make_unique<models::Untapped>();
  return std::make_unique<ActivationTap>(model.activations);
}

std::unique_ptr<models::Tap> apply_quantized(models::Network& network,
                                             const std::filesystem::path& folder) {
  return apply(load_quantized(folder), network);
}

QuantizedLayer quantized_layer(const at::Tensor& weight, Grid grid) {
  at::Tensor code = encode(as_matrix(weight), grid);
  return {code.to(grid.bits <= 8 ? at::kByte : at::kInt), std::move(grid)};
}

}  // namespace assay::quant
