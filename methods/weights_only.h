#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/contract/declared_options.h"
#include "methods/method.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/stage_inputs.h"

// What the methods share that quantize weights, block by block, in one stage NAME.quantize, and
// leave activations to others.

namespace assay {

// What such a stage asks for.
struct WeightsOnly {
  std::string method;
  int weight_bits = kFloatBits;  // kFloatBits: nothing is done, and no data is read
  int activation_bits = kFloatBits;
  bool symmetric = false;
  // Nothing before it may be rounded then, and activations are for a method after it.
  bool scales_channels = false;
  quant::SequentialOptions sequential = {};
};

// Body of the stage. Throws Error(kUnsupported) if the bits of a trial ask for rounded activations
// and no method before this one rounds them; with `scales_channels`, if one before it rounds.
Json run_weights_only(
    StageContext& context, const quant::ModelLoader& loader, const WeightsOnly& asked,
    const std::function<quant::BlockQuantizer(models::Network& network)>& quantizer_for);

// Options that several of them have.
void visit_group(OptionVisitor& option, std::int64_t& group);
void visit_symmetric(OptionVisitor& option, bool& symmetric);
void visit_block_v(OptionVisitor& option, bool& value_columns);
void visit_propagate(OptionVisitor& option, quant::Propagation& propagate);

// Throws Error(kUnsupported) if the bits ask for rounded activations, nothing before rounds them
// (`rounded`), and the method does not leave them to one after it.
void require_rounded_activations(const WeightsOnly& asked, bool rounded);

// Throws Error(kConfig) unless `group` is -1 or at least 1.
void require_group(std::int64_t group);

// MethodStage::check and MethodStage::rounds of it; `rounds_weights_first` with `scales_channels`.
void check_weights_only(const PlannedStage& stage, const WeightsOnly& asked);
Rounding rounds_weights(const StageContext& context);
Rounding rounds_weights_first(const StageContext& context);

// The method around the stage. `about`: name, title, paper, families and switches; `stage`: its
// revision, run, check and, unless it is rounds_weights, rounds; the rest is filled in. Options:
// those of the stage, with both bits.
template <typename Options>
Method weights_only_method(MethodDeclaration about, MethodStage stage,
                           std::function<void()> canary) {
  about.parameters = schemas_of<Options>();
  for (ParameterSchema& parameter : about.parameters) {
    parameter.when = "quantizes_weights" + (parameter.when.empty() ? "" : "," + parameter.when);
  }
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(128);
  about.parameters.insert(about.parameters.end(), calibration.begin(), calibration.end());
  about.reads_bits = true;
  about.calibration = "calibration";
  about.traits = {"quantizer"};
  about.network = about.name + ".quantize";
  about.values = quant::network_values();
  stage.declaration.name = about.network;
  stage.declaration.reads = names_of<Options>();
  stage.declaration.reads_model = true;
  stage.declaration.reads_network = true;
  stage.declaration.inputs = quant::calibration_data("quantizes_weights");
  if (!stage.rounds) stage.rounds = rounds_weights;
  return {
      .declaration = std::move(about), .stages = {std::move(stage)}, .canary = std::move(canary)};
}

}  // namespace assay
