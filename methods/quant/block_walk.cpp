#include "methods/quant/block_walk.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "methods/quant/quantized_parts.h"
#include "methods/quant/stage_inputs.h"

namespace assay::quant {
namespace {

// Finished units as folders "unit_<i>": the artifact of the unit's layers, and losses.json. A
// folder appears by one rename.
class Checkpoints {
 public:
  explicit Checkpoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool load(std::int64_t unit, BlockWalkResult& part) const {
    if (folder_.empty() || !std::filesystem::exists(path(unit))) return false;
    part.model = load_quantized(path(unit));
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

  // The layers in `part` are then those of the file, which is mapped.
  void save(std::int64_t unit, BlockWalkResult& part) const {
    if (folder_.empty()) return;
    const std::filesystem::path partial = folder_ / "unit.partial";
    std::error_code failure;
    std::filesystem::remove_all(partial, failure);
    std::filesystem::create_directories(partial, failure);
    save_quantized(partial, part.model);
    write_file_atomically(partial / "losses.json", Json(part.losses).dump());
    std::filesystem::rename(partial, path(unit), failure);
    if (failure) {
      throw Error(ErrorKind::kIo, fmt::format("{}: {}", path(unit).string(), failure.message()));
    }
    part.model.layers = load_quantized(path(unit)).layers;
  }

 private:
  std::filesystem::path path(std::int64_t unit) const {
    return folder_ / fmt::format("unit_{}", unit);
  }

  std::filesystem::path folder_;
};

}  // namespace

BlockWalkResult quantize_blocks(models::Network& network, const at::Tensor& inputs,
                                const BlockQuantizer& quantize, const BlockWalkOptions& options) {
  const Checkpoints checkpoints(options.checkpoints);
  BlockWalkResult all, part;
  all.model.method = part.model.method = options.method;
  const auto take = [&] {
    all.model.layers.merge(part.model.layers);
    all.model.channel_scales.merge(part.model.channel_scales);
    all.losses.merge(part.losses);
    part = {.model = {.method = options.method}};
  };
  SequentialHooks hooks;
  hooks.restore = [&](std::int64_t unit) {
    if (!checkpoints.load(unit, part)) return false;
    apply(part.model, network);
    take();
    return true;
  };
  if (const auto* by_unit = std::get_if<UnitQuantizer>(&quantize)) {
    hooks.quantize_unit = [&, by_unit](const UnitInputs& unit) {
      part = (*by_unit)(unit);
      part.model.method = options.method;
      for (const auto& [name, layer] : part.model.layers) apply_layer(name, layer, network);
    };
  } else {
    const auto& by_layers = std::get<LayersQuantizer>(quantize);
    hooks.quantize = [&](const std::vector<LayerMoments>& layers) {
      for (auto& [name, result] : by_layers(layers)) {
        at::Tensor& weight = network.parameters().at(name + ".weight");
        const at::Tensor made =
            result.weight.defined() ? result.weight : decode(result.layer.code, result.layer.grid);
        weight = made.to(weight.options());
        part.model.layers.emplace(name, std::move(result.layer));
        part.losses[name] = result.loss;
      }
    };
  }
  hooks.finished = [&](std::int64_t unit) {
    checkpoints.save(unit, part);
    for (const auto& [name, layer] : part.model.layers) {
      if (network.parameters().may_defer(name + ".weight")) apply_layer(name, layer, network);
    }
    take();
    if (options.unit_finished) options.unit_finished(unit + 1);
  };
  SequentialOptions sequential = options.sequential;
  // Probabilities take heads * context^2 values a sequence.
  sequential.chunk = sequential.attention_values ? 1 : calibration_chunk(network);
  quantize_sequentially(network, inputs, sequential, hooks);
  return all;
}

Json run_block_walk(StageContext& context, MethodNetwork& loaded, const BlockQuantizer& quantize,
                    BlockWalkOptions options) {
  models::Network& network = *loaded.network;
  widen(network);
  BlockWalkResult result{.model = {.method = options.method}};
  if (std::visit([](const auto& each) { return bool{each}; }, quantize)) {
    options.checkpoints = context.resume_dir();
    options.sequential.tap = loaded.tap.get();
    options.sequential.between_chunks = [&] { require_running(context); };
    options.unit_finished = [&](std::int64_t done) {
      context.checkpoint(done);
      context.progress(done, network.unit_count(), "blocks");
      if (context.stop_requested() && done < network.unit_count()) {
        throw Error(ErrorKind::kLost,
                    fmt::format("stopped after {} of {} blocks", done, network.unit_count()));
      }
    };
    result = quantize_blocks(network, calibration_inputs(context, network), quantize, options);
  }
  save_quantized(context.output(), result.model);
  write_file_atomically(context.output() / "losses.json", Json(result.losses).dump(1) + "\n");
  double loss = 0;
  for (const auto& [layer, each] : result.losses) loss += each;
  Json out = quantization_result(network, loaded.before, result.model);
  out["metrics"]["layer_loss"] = loss;
  return out;
}

}  // namespace assay::quant
