#include "methods/quant/block_walk.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/stage_result.h"
#include "methods/quant/quantized_parts.h"
#include "methods/quant/stage_inputs.h"
#include "methods/quant/tap_sequence.h"

namespace assay::quant {
namespace {

constexpr const char* kLosses = "losses.json";
constexpr const char* kFirstLosses = "first_losses.json";

std::map<std::string, double> losses_in(const std::filesystem::path& path) {
  const std::string file = path.string();
  std::map<std::string, double> losses;
  const Json json = parse_json(read_file(file), file);
  for (const auto& item : json.items()) {
    if (!item.value().is_number()) {
      throw Error(ErrorKind::kData, fmt::format("{}: a loss is not a number", file));
    }
    losses[item.key()] = item.value().get<double>();
  }
  return losses;
}

// Finished units as folders "unit_<i>": the artifact of the unit's layers, and its losses. A folder
// appears by one rename.
class Checkpoints {
 public:
  explicit Checkpoints(std::filesystem::path folder) : folder_(std::move(folder)) {}

  bool load(std::int64_t unit, BlockWalkResult& part) const {
    if (folder_.empty() || !std::filesystem::exists(path(unit))) return false;
    part = {.model = load_quantized(path(unit)), .losses = losses_in(path(unit) / kLosses)};
    if (const auto first = path(unit) / kFirstLosses; std::filesystem::exists(first)) {
      part.first_losses = losses_in(first);
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
    write_file_atomically(partial / kLosses, Json(part.losses).dump());
    if (!part.first_losses.empty()) {
      write_file_atomically(partial / kFirstLosses, Json(part.first_losses).dump());
    }
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

// What a unit adds to the whole.
void join_unit(BlockWalkResult& part, BlockWalkResult& all) {
  all.model.layers.merge(part.model.layers);
  all.model.channel_scales.merge(part.model.channel_scales);
  all.model.parameters.merge(part.model.parameters);
  all.model.activations.merge(part.model.activations);
  all.losses.merge(part.losses);
  all.first_losses.merge(part.first_losses);
  part = {.model = {.method = all.model.method}};
}

double sum_of(const std::map<std::string, double>& losses) {
  double sum = 0;
  for (const auto& [name, each] : losses) sum += each;
  return sum;
}

// Of losses that are higher than they were, or "".
std::string note_of_losses(const BlockWalkResult& result) {
  std::string risen;
  for (const auto& [name, first] : result.first_losses) {
    const double last = result.losses.at(name);
    if (!(last > first)) continue;
    risen +=
        fmt::format("{}{} from {:.6g} to {:.6g}", risen.empty() ? "" : ", ", name, first, last);
  }
  if (risen.empty()) return "";
  return fmt::format("training raised the loss of {}: smaller learning rates may help", risen);
}

}  // namespace

BlockWalkResult quantize_blocks(models::Network& network, const at::Tensor& inputs,
                                const BlockQuantizer& quantize, const BlockWalkOptions& options) {
  const Checkpoints checkpoints(options.checkpoints);
  BlockWalkResult all, part;
  all.model.method = part.model.method = options.method;
  models::Untapped none;
  ActivationTap rounded({});  // activations of finished units
  TapSequence own(options.sequential.tap == nullptr ? none : *options.sequential.tap, rounded);
  SequentialHooks hooks;
  hooks.restore = [&](std::int64_t unit) {
    if (!checkpoints.load(unit, part)) return false;
    apply(part.model, network);
    rounded.add(part.model.activations);
    join_unit(part, all);
    return true;
  };
  if (const auto* by_unit = std::get_if<UnitQuantizer>(&quantize)) {
    hooks.quantize_unit = [&, by_unit](const UnitInputs& unit) {
      part = (*by_unit)(unit);
      part.model.method = options.method;
      replace_parameters(part.model.parameters, network);
      for (const auto& [name, layer] : part.model.layers) apply_layer(name, layer, network);
      rounded.add(part.model.activations);
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
    join_unit(part, all);
    if (options.unit_finished) options.unit_finished(unit + 1);
  };
  SequentialOptions sequential = options.sequential;
  sequential.tap = &own;
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
      context.progress(done * options.steps_of_unit, network.unit_count() * options.steps_of_unit,
                       options.steps);
      if (context.stop_requested() && done < network.unit_count()) {
        throw Error(ErrorKind::kLost,
                    fmt::format("stopped after {} of {} blocks", done, network.unit_count()));
      }
    };
    result = quantize_blocks(network, calibration_inputs(context, network), quantize, options);
  }
  save_quantized(context.output(), result.model);
  write_file_atomically(context.output() / kLosses, Json(result.losses).dump(1) + "\n");
  Json out = quantization_result(network, loaded.before, result.model);
  out["metrics"]["layer_loss"] = sum_of(result.losses);
  if (result.first_losses.empty()) return out;
  write_file_atomically(context.output() / kFirstLosses, Json(result.first_losses).dump(1) + "\n");
  out["metrics"]["first_loss"] = sum_of(result.first_losses);
  if (const std::string note = note_of_losses(result); !note.empty()) add_note(out, note);
  return out;
}

}  // namespace assay::quant
