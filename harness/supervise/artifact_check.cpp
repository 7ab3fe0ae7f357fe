#include "harness/supervise/artifact_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/formats/safetensors_file.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;

constexpr int kQuantizedFormat = 1;
constexpr std::int64_t kMaxScales = std::int64_t{1} << 24;  // more are left to the loader

[[noreturn]] void refuse_artifact_file(const fs::path& file, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.filename().string(), problem),
              {{"file", file.string()}});
}

Json object_in(const fs::path& file) {
  Json json = parse_json(read_file(file), file.filename().string());
  if (!json.is_object()) refuse_artifact_file(file, "it must be a JSON object");
  return json;
}

bool is_float(const std::string& dtype) { return dtype == "F32" || dtype == "F64"; }
bool is_code(const std::string& dtype) {
  return dtype == "U8" || dtype == "I32" || dtype == "I64" || dtype == "I16" || dtype == "I8";
}

// The tensor of a layer, a matrix of a dtype that `legal` allows.
const TensorEntry& matrix(const SafetensorsFile& codes, const std::string& name,
                          bool (*legal)(const std::string&)) {
  const TensorEntry& tensor = codes.at(name);
  if (tensor.shape.size() != 2 || tensor.count() == 0)
    refuse_artifact_file(codes.path(),
                         fmt::format("tensor '{}' must have two dimensions, none of them 0", name));
  if (!legal(tensor.dtype))
    refuse_artifact_file(codes.path(),
                         fmt::format("tensor '{}' is of dtype {}", name, tensor.dtype));
  return tensor;
}

std::int64_t runs(std::int64_t count, std::int64_t group) { return (count + group - 1) / group; }

// That the values of a tensor, if they are not too many, are above 0.
void check_positive(const SafetensorsFile& codes, const std::string& layer,
                    const std::string& name) {
  if (codes.at(name).count() > kMaxScales) return;
  for (const double value : codes.values(name)) {
    if (!std::isfinite(value) || value <= 0)
      refuse_artifact_file(codes.path(),
                           fmt::format("layer '{}': a scale is {}, not above 0", layer, value));
  }
}

// Scales and zero points, a pair for each row and group.
void check_pairs(const SafetensorsFile& codes, const std::string& name, const TensorEntry& code,
                 std::int64_t group) {
  const TensorEntry& scale = matrix(codes, name + ".scale", is_float);
  const TensorEntry& zero = matrix(codes, name + ".zero", is_float);
  const std::int64_t columns = code.shape[1];
  const std::int64_t groups = group > 0 ? runs(columns, group) : 1;
  const bool fits = (scale.shape[0] == 1 || scale.shape[0] == code.shape[0]) &&
                    scale.shape[1] == groups && zero.shape == scale.shape;
  if (!fits)
    refuse_artifact_file(
        codes.path(),
        fmt::format("layer '{}': scale [{}, {}] and zero [{}, {}] of codes [{}, {}]; expected "
                    "[{} or 1, {}]",
                    name, scale.shape[0], scale.shape[1], zero.shape[0], zero.shape[1],
                    code.shape[0], columns, code.shape[0], groups));
  check_positive(codes, name, name + ".scale");
}

// A scale for each run of weights, or its code, and the table of levels.
void check_levels(const SafetensorsFile& codes, const std::string& name, const TensorEntry& code,
                  std::int64_t bits, std::int64_t group) {
  const bool coded = codes.tensors().contains(name + ".scale_code");
  const std::string scales = name + (coded ? ".scale_code" : ".scale");
  const TensorEntry& scale = matrix(codes, scales, coded ? is_code : is_float);
  const std::int64_t blocks = group > 0 ? runs(code.count(), group) : 0;
  if (scale.shape[0] != 1 || scale.shape[1] != blocks)
    refuse_artifact_file(
        codes.path(),
        fmt::format("tensor '{}' is [{}, {}]; expected [1, {}], one for each run of {} weights",
                    scales, scale.shape[0], scale.shape[1], blocks, group));
  check_positive(codes, name, coded ? name + ".scale_step" : scales);
  const TensorEntry& levels = codes.at(name + ".levels");
  if (levels.shape != std::vector<std::int64_t>{std::int64_t{1} << bits} || !is_float(levels.dtype))
    refuse_artifact_file(codes.path(), fmt::format("tensor '{}.levels' must be {} numbers", name,
                                                   std::int64_t{1} << bits));
}

void check_layer(const SafetensorsFile& codes, const fs::path& description, const std::string& name,
                 const Json& layer) {
  const auto integer = [&](const char* field, std::int64_t low, std::int64_t high) {
    const Json value = layer.is_object() ? layer.value(field, Json()) : Json();
    if (!value.is_number_integer() || value.get<std::int64_t>() < low ||
        value.get<std::int64_t>() > high)
      refuse_artifact_file(
          description, fmt::format("layer '{}': {} is {}; expected an integer from {} to {}", name,
                                   field, value.dump().substr(0, 100), low, high));
    return value.get<std::int64_t>();
  };
  const std::int64_t bits = integer("bits", 1, 16);
  const std::int64_t group = integer("group", -1, std::int64_t{1} << 40);
  const TensorEntry& code = matrix(codes, name + ".code", is_code);
  if (codes.tensors().contains(name + ".levels")) {
    check_levels(codes, name, code, bits, group);
  } else {
    check_pairs(codes, name, code, group);
  }
}

void check_quantized(const fs::path& folder) {
  const fs::path description = folder / "quantization.json";
  const Json json = object_in(description);
  if (json.value("format", Json()) != Json(kQuantizedFormat))
    refuse_artifact_file(description, fmt::format("'format' must be {}", kQuantizedFormat));
  for (const char* name : {"layers", "activations"}) {
    if (!json.contains(name) || !json[name].is_object())
      refuse_artifact_file(description, fmt::format("'{}' must be a mapping", name));
  }
  if (!json.contains("method") || !json["method"].is_string())
    refuse_artifact_file(description, "'method' must be a text");
  const SafetensorsFile codes(folder / "codes.safetensors");
  for (const auto& layer : json["layers"].items())
    check_layer(codes, description, layer.key(), layer.value());
}

void check_checkpoint(const fs::path& folder, bool weights) {
  const fs::path configuration = folder / "config.json";
  object_in(configuration);
  if (!weights && !fs::exists(folder / "model.safetensors.index.json"))
    refuse_artifact_file(configuration,
                         "a checkpoint has its weights beside config.json, in model.safetensors");
}

}  // namespace

void check_artifact(const fs::path& folder) {
  bool weights = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    weights = true;
    const SafetensorsFile opened(entry.path());
  }
  if (fs::exists(folder / "quantization.json")) check_quantized(folder);
  if (fs::exists(folder / "config.json")) check_checkpoint(folder, weights);
}

}  // namespace assay::supervise
