#include <ATen/ATen.h>
#include <fmt/format.h>

#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "methods/gptq/method.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/sequential.h"

namespace assay::gptq {
namespace {

// Finished units as folders "unit_<i>": the artifact of the unit's layers, and losses.json. A
// folder appears by one rename.
class Checkpoints {
 public:
  explicit Checkpoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool load(std::int64_t unit, ModelResult& part) const {
    if (folder_.empty() || !std::filesystem::exists(path(unit))) return false;
    part.model = quant::load_quantized(path(unit));
    const std::string file = (path(unit) / "losses.json").string();
    const Json losses = parse_json(read_file(file), file);
    for (const auto& item : losses.items()) {
      if (!item.value().is_number()) {
        throw Error(ErrorKind::kData, fmt::format("{}: a loss is not a number", file));
      }
      part.losses[item.key()] = item.value().get<double>();
    }
    return true;
  }

  void save(std::int64_t unit, const ModelResult& part) const {
    if (folder_.empty()) return;
    const std::filesystem::path partial = folder_ / "unit.partial";
    std::error_code failure;
    std::filesystem::remove_all(partial, failure);
    std::filesystem::create_directories(partial, failure);
    quant::save_quantized(partial, part.model);
    write_file_atomically(partial / "losses.json", Json(part.losses).dump());
    std::filesystem::rename(partial, path(unit), failure);
    if (failure) {
      throw Error(ErrorKind::kIo, fmt::format("{}: {}", path(unit).string(), failure.message()));
    }
  }

 private:
  std::filesystem::path path(std::int64_t unit) const {
    return folder_ / fmt::format("unit_{}", unit);
  }

  std::filesystem::path folder_;
};

}  // namespace

ModelResult quantize_model(models::Network& network, const at::Tensor& inputs,
                           const ModelOptions& options) {
  const Checkpoints checkpoints(options.checkpoints);
  ModelResult all, part;
  all.model.method = part.model.method = "gptq";
  const auto take = [&] {
    all.model.layers.merge(part.model.layers);
    all.losses.merge(part.losses);
    part.model.layers.clear();
    part.losses.clear();
  };
  quant::SequentialHooks hooks;
  hooks.restore = [&](std::int64_t unit) {
    if (!checkpoints.load(unit, part)) return false;
    quant::apply(part.model, network);
    take();
    return true;
  };
  hooks.quantize = [&](const models::Layer& layer, const at::Tensor& hessian) {
    at::Tensor& weight = network.parameters().at(layer.name + ".weight");
    LayerResult result = quant::in_layer(layer.name, [&] {
      return quantize_layer(weight, hessian, options.layer, layer.name);
    });
    weight = result.weight.to(weight.options());
    part.model.layers.emplace(layer.name, std::move(result.layer));
    part.losses[layer.name] = result.loss;
  };
  hooks.finished = [&](std::int64_t unit) {
    checkpoints.save(unit, part);
    take();
    if (options.unit_finished) options.unit_finished(unit + 1);
  };
  quant::quantize_sequentially(
      network, inputs,
      {.unit = options.unit,
       .true_sequential = options.true_sequential,
       .chunk = network.info().task == models::Task::kLanguage ? quant::kSequenceChunk
                                                               : quant::kImageChunk,
       .tap = options.tap},
      hooks);
  return all;
}

}  // namespace assay::gptq
