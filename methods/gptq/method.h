#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "methods/gptq/layer.h"
#include "methods/method.h"
#include "methods/quant/moments.h"
#include "methods/quant/stage_inputs.h"

// GPTQ: block-sequential second-order rounding of linear layers, weights only. One stage,
// gptq.quantize.

namespace assay {

Method gptq_method();

}  // namespace assay

namespace assay::gptq {

// The walk over a network without a stage around it. `network` ends up with fake-quantized weights.
struct ModelOptions {
  Options layer;
  quant::MomentUnit unit = quant::MomentUnit::kSequence;
  bool true_sequential = false;
  models::Tap* tap = nullptr;  // activation quantizers that the network has already; borrowed
  std::filesystem::path checkpoints;  // folder of finished units, "": none are kept
  std::function<void(std::int64_t units_done)> unit_finished = {};
};

struct ModelResult {
  quant::QuantizedModel model;
  std::map<std::string, double> losses;  // by layer
};

ModelResult quantize_model(models::Network& network, const at::Tensor& inputs,
                           const ModelOptions& options);

// Runs the method on a tiny network in a second. Throws Error(kMethod) if 15 bits are not close to
// float, if GPTQ's codes are those of round to nearest on correlated inputs (moments that were
// never collected), or if its layer error is not below that of round to nearest.
void canary();

}  // namespace assay::gptq
