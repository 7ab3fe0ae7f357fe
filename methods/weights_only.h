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
#include "methods/quant/two_sided.h"

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
  bool scales_values = false;  // channels of attention's values: no prefix may stand before it then
  quant::SequentialOptions sequential = {};
};

// What makes the quantizer of the network's blocks.
using QuantizerMaker = std::function<quant::BlockQuantizer(models::Network& network)>;

// Body of the stage. Throws Error(kUnsupported) if the bits of a trial ask for rounded activations
// and no method before this one rounds them; with `scales_channels`, if one before it rounds.
Json run_weights_only(StageContext& context, const quant::ModelLoader& loader,
                      const WeightsOnly& asked, const QuantizerMaker& quantizer_for);

// Options that several of them have.
void visit_group(OptionVisitor& option, std::int64_t& group);
void visit_symmetric(OptionVisitor& option, bool& symmetric);
void visit_block_v(OptionVisitor& option, bool& value_columns);
void visit_propagate(OptionVisitor& option, quant::Propagation& propagate);
void visit_zfold(OptionVisitor& option, bool& zfold, std::int64_t& rounds);
// `dead`: what is said of it beside that it is the moment of inputs that are always 0.
void visit_moments(OptionVisitor& option, double& damping, double& dead_value, const char* dead);
// Of methods that round by columns and by rows of heads; there a dead value of 0 is 1 / tokens.
void visit_two_sided(OptionVisitor& option, quant::TwoSidedOptions& layer);
void visit_two_sided_moments(OptionVisitor& option, quant::TwoSidedOptions& layer);

// Throws Error(kUnsupported) if the bits ask for rounded activations, nothing before rounds them
// (`rounded`), and the method does not leave them to one after it.
void require_rounded_activations(const WeightsOnly& asked, bool rounded);

// Throws Error(kConfig) unless `group` is -1 or at least 1.
void require_group(std::int64_t group);

// MethodStage::check and MethodStage::rounds of it; `rounds_weights_first` with `scales_channels`.
void check_weights_only(const PlannedStage& stage, const WeightsOnly& asked);
Rounding rounds_weights(const StageContext& context);
Rounding rounds_weights_first(const StageContext& context);

// The options of a stage are a struct with
//   void visit(OptionVisitor&);                   both bits among them
//   WeightsOnly asked() const;
//   BlockQuantizer quantizer(models::Network&, StageContext&) const;
//   void settle();                                if there is something to settle: throws Error for
//                                                 values that fit their schemas and are not offered
template <typename Options>
Options settled_options(const StageContext& context) {
  auto options = options_from<Options>(context);
  if constexpr (requires { options.settle(); }) options.settle();
  return options;
}

template <typename Options>
MethodStage weights_only_stage(int revision) {
  const auto run = [](StageContext& context, const quant::ModelLoader& loader) {
    const auto options = settled_options<Options>(context);
    return run_weights_only(context, loader, options.asked(), [&](models::Network& network) {
      return options.quantizer(network, context);
    });
  };
  const auto check = [](const PlannedStage& stage) {
    check_weights_only(stage, settled_options<Options>(stage.context).asked());
  };
  return {.declaration = {.revision = revision}, .run = run, .check = check};
}

// The method around the stage. `about`: name, title, paper, families and switches; `stage`:
// weights_only_stage() and, unless it is rounds_weights, what it rounds; the rest is filled in.
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
