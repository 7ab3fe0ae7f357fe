#include "methods/weights_only.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/stage_parameters.h"
#include "methods/quant/float_network.h"

namespace assay {
namespace {

void require_float_where_scaled(const WeightsOnly& asked, bool weights, bool activations) {
  if (!asked.scales_channels || asked.weight_bits == kFloatBits) return;
  quant::require_float(asked.method.c_str(), weights, activations,
                       (asked.method + " + rtn").c_str());
}

// `prefix`: tokens that may stand before the network. Their keys and values would stay as they are.
void require_no_prefix_where_scaled(const WeightsOnly& asked, std::int64_t prefix) {
  if (!asked.scales_values || asked.weight_bits == kFloatBits || prefix == 0) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{0} scales the channels of values, and a method before it puts a prefix "
                          "in front, whose values would stay as they are: let {0} come first "
                          "(\"{0} + cushioncache\"), or write scale: false",
                          asked.method),
              {{"parameter", "scale"}, {"value", "true"}});
}

}  // namespace

void require_rounded_activations(const WeightsOnly& asked, bool rounded) {
  if (rounded || asked.scales_channels || asked.activation_bits == kFloatBits) return;
  const std::string weights_only =
      asked.weight_bits == kFloatBits ? "" : fmt::format("write W{}A16, or ", asked.weight_bits);
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{0} quantizes weights only, and no method before it rounds activations: "
                          "a_bits = {1}; {2}let rtn round them first: \"rtn + {0}\" with "
                          "rtn.quantize: activations",
                          asked.method, asked.activation_bits, weights_only),
              {{"parameter", "a_bits"}, {"value", std::to_string(asked.activation_bits)}});
}

Json run_weights_only(StageContext& context, const quant::ModelLoader& loader,
                      const WeightsOnly& asked, const QuantizerMaker& quantizer_for) {
  const at::NoGradGuard no_gradients;
  quant::MethodNetwork loaded = loader(context);
  require_rounded_activations(asked, !loaded.tap->passive());
  require_float_where_scaled(asked, !loaded.before.layers.empty(), !loaded.tap->passive());
  require_no_prefix_where_scaled(asked, loaded.network->prefix().length());
  quant::BlockQuantizer quantizer;
  if (asked.weight_bits != kFloatBits) quantizer = quantizer_for(*loaded.network);
  return quant::run_block_walk(context, loaded, quantizer,
                               {.method = asked.method, .sequential = asked.sequential});
}

void visit_group(OptionVisitor& option, std::int64_t& group) {
  option(group, {.name = "group",
                 .unit = "columns",
                 .minimum = -1,
                 .doc = "Input columns per grid; -1: one grid a row."});
}

void visit_symmetric(OptionVisitor& option, bool& symmetric) {
  option(symmetric, {.name = "symmetric", .doc = "Zero points in the middle of the range."});
}

void visit_block_v(OptionVisitor& option, bool& value_columns) {
  option(value_columns,
         {.name = "block_v",
          .doc = "Moments of v behind the attention probabilities, one matrix a head."});
}

void visit_propagate(OptionVisitor& option, quant::Propagation& propagate) {
  option(propagate,
         {.name = "propagate",
          .doc = "Blocks that produce the inputs a block's moments see: as they were quantized "
                 "(the release), or as they were."});
}

void visit_zfold(OptionVisitor& option, bool& zfold, std::int64_t& rounds) {
  option(zfold,
         {.name = "zfold", .doc = "A factor of the column in the scales of layers that allow it."});
  option(rounds, {.name = "zfold_rounds",
                  .unit = "rounds",
                  .minimum = 1,
                  .maximum = 1000,
                  .doc = "The most alternations between factors and grids.",
                  .when = "zfold=true"});
}

void visit_moments(OptionVisitor& option, double& damping, double& dead_value, const char* dead) {
  option(damping, {.name = "damping",
                   .minimum = 0,
                   .maximum = 10,
                   .doc = "Part of the mean diagonal added to the diagonal of the moments."});
  option(dead_value,
         {.name = "dead_value",
          .minimum = 1e-12,
          .doc = fmt::format("Diagonal moment given to inputs that are always 0{}.", dead)});
}

void visit_two_sided(OptionVisitor& option, quant::TwoSidedOptions& layer) {
  option(layer.grid, {.name = "grid",
                      .choices = {"minmax", "mse", "hessian"},
                      .doc = "Search of the grid's range; the paper uses hessian."});
  visit_group(option, layer.group);
  option(layer.act_order_columns,
         {.name = "act_order_col",
          .doc = "Columns in descending order of the column moments' diagonal.",
          .when = "group=-1"});
  option(layer.act_order_rows,
         {.name = "act_order_row",
          .doc = "Rows of a head in descending order of the row moments' diagonal."});
  visit_symmetric(option, layer.symmetric);
}

void visit_two_sided_moments(OptionVisitor& option, quant::TwoSidedOptions& layer) {
  option(layer.damping, {.name = "damping",
                         .minimum = 0,
                         .maximum = 10,
                         .doc = "Part of the mean diagonal added to the diagonal of the moments of "
                                "columns and rows."});
  option(layer.dead_value, {.name = "dead_value",
                            .minimum = 0,
                            .doc = "Diagonal moment given to inputs that are always 0; 0: 1 / "
                                   "tokens of a calibration sequence."});
}

void require_group(std::int64_t group) {
  if (group == -1 || group > 0) return;
  throw Error(ErrorKind::kConfig, "group = 0: expected -1 (whole rows) or at least 1 column",
              {{"parameter", "group"}});
}

void check_weights_only(const PlannedStage& stage, const WeightsOnly& asked) {
  quant::require_levels("w_bits", asked.weight_bits, asked.symmetric);
  quant::require_linear_units(stage.network);
  if (stage.before.activations) require_rounded_activations(asked, *stage.before.activations);
  require_float_where_scaled(asked, stage.before.weights.value_or(false),
                             stage.before.activations.value_or(false));
  require_no_prefix_where_scaled(asked, stage.before.prefix);
  if (asked.scales_channels) quant::require_scale_groups(stage.network);
}

Rounding rounds_weights_first(const StageContext& context) {
  const StageParameters asked(context);
  return {.weights = asked.bits("w_bits") != kFloatBits,
          .bits = {.weights = asked.bits("w_bits"), .activations = asked.bits("a_bits")}};
}

Rounding rounds_weights(const StageContext& context) {
  const StageParameters asked(context);
  Rounding rounding{.weights = asked.bits("w_bits") != kFloatBits,
                    .bits = {.weights = asked.bits("w_bits")}};
  // Its own to refuse where nothing before it rounds them.
  if (asked.bits("a_bits") != kFloatBits) rounding.activations.reset();
  return rounding;
}

}  // namespace assay
