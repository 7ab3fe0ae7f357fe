#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "harness/contract/stage_context.h"
#include "methods/quant/layer_moments.h"
#include "methods/quant/method_network.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/sequential.h"

// Block-sequential weight quantization of a whole network, whatever quantizes a layer: the walk
// with its checkpoints, and the stage around it.

namespace assay::quant {

struct LayerResult {
  QuantizedLayer layer;  // codes in the order of the weight's columns
  at::Tensor weight;     // fake-quantized, [rows, columns]; undefined: what the codes stand for
  double loss = 0;       // what the method minimised, over all rows
};

// Layers of one pass, in their order -> their results by name. The network's weights are still
// float.
using LayersQuantizer =
    std::function<std::map<std::string, LayerResult>(const std::vector<LayerMoments>& layers)>;

struct BlockWalkResult {
  QuantizedModel model;
  std::map<std::string, double> losses;  // by layer, or by what the method minimised one for
  // The same before it was minimised, of methods that say so.
  std::map<std::string, double> first_losses = {};
};

// A unit, still float, and its inputs -> what becomes of it. Channels are scaled in the network
// already; weights and replaced parameters are put there by the walk, which rounds activations in
// every later pass.
using UnitQuantizer = std::function<BlockWalkResult(const UnitInputs& inputs)>;

using BlockQuantizer = std::variant<LayersQuantizer, UnitQuantizer>;

struct BlockWalkOptions {
  std::string method;  // the artifact's
  SequentialOptions sequential = {};
  std::filesystem::path checkpoints = {};  // folder of finished units, "": none are kept
  std::function<void(std::int64_t units_done)> unit_finished = {};
  // Of a stage's progress: a unit counts as so many, under this name.
  std::int64_t steps_of_unit = 1;
  std::string steps = "blocks";
};

// `network` ends up with fake-quantized weights; those that may be deferred are. With `checkpoints`
// the codes of finished units lie in the files there, otherwise in memory. inputs: images or token
// ids, rows first.
BlockWalkResult quantize_blocks(models::Network& network, const at::Tensor& inputs,
                                const BlockQuantizer& quantize, const BlockWalkOptions& options);

// A stage that does so: calibration inputs as of calibration_inputs(), a checkpoint after every
// unit, artifact and losses.json in the output folder. `quantize` empty: the weights stay float,
// and no data is read. Returns quantization_result() with `layer_loss`, the sum of the losses, and
// `first_loss`, that of the first ones, if there are any; a note says where a loss has risen.
Json run_block_walk(StageContext& context, MethodNetwork& loaded, const BlockQuantizer& quantize,
                    BlockWalkOptions options);

}  // namespace assay::quant
