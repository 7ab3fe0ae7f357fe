#include "methods/omniquant/unit_training.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "harness/base/error.h"
#include "methods/quant/channel_ranges.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/replaced_parameters.h"
#include "methods/quant/straight_through.h"
#include "methods/quant/tap_sequence.h"
#include "methods/quant/unit_layers.h"

namespace assay::omniquant {
namespace {

// A tensor of its own that asks for gradients, known to an optimiser by `name`.
void train(const std::string& name, at::Tensor& tensor, std::vector<optimise::Trainable>& all) {
  tensor = tensor.detach().clone().set_requires_grad(true);
  all.push_back({.name = name, .tensor = tensor, .decays = false});
}

void forget_gradients(const optimise::AdamW& optimiser) {
  for (const optimise::Trainable& each : optimiser.parameters()) {
    each.tensor.mutable_grad() = at::Tensor();
  }
}

quant::ChannelRanges ranges_in_float_network(const models::Network& network,
                                             const quant::UnitInputs& inputs, bool middles) {
  quant::ChannelRangeTap observer(changed_sites(network, inputs.unit), middles);
  for (std::size_t i = 0; i < inputs.float_hidden.size(); ++i) {
    inputs.between_chunks();
    observer.begin(&inputs.chunks[i]);
    network.unit(inputs.unit, inputs.float_hidden[i], observer);
  }
  return observer.ranges();
}

}  // namespace

std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers_of(
    const models::Network& network, std::int64_t unit, const Options& options) {
  std::map<std::string, quant::ActivationQuantizer, std::less<>> quantizers;
  if (options.activation_bits == kFloatBits) return quantizers;
  const quant::ActivationQuantizer quantizer{.scheme = quant::ActivationScheme::kToken,
                                             .bits = options.activation_bits};
  const std::vector<models::Layer> layers = quant::layers_of(network, unit);
  for (const models::Layer& layer : layers) quantizers[layer.input_site] = quantizer;
  const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
  if (options.quantize_bmm && parts) {
    quantizers[parts->queries] = quantizers[parts->keys] = quantizer;
    quantizers[quant::layer_named(parts->v, layers).output_site] = quantizer;
  }
  return quantizers;
}

UnitTraining::UnitTraining(const models::Network& network, const quant::UnitInputs& inputs,
                           const Options& options)
    : network_(network),
      inputs_(inputs),
      options_(options),
      layers_(quant::layers_of(network, inputs.unit)),
      float_parameters_(parameters_of(network, inputs.unit)),
      quantizers_(quantizers_of(network, inputs.unit, options)),
      let_(start_transformation(), {.weight_decay = 0}),
      lwc_(start_clipping(), {.weight_decay = 0}) {
  if (!options.augment_loss) return;
  for (const at::Tensor& hidden : inputs.hidden) {
    inputs.between_chunks();
    own_outputs_.push_back(network.unit(inputs.unit, hidden, inputs.own));
  }
}

std::vector<optimise::Trainable> UnitTraining::start_transformation() {
  std::vector<optimise::Trainable> trained;
  if (!options_.let) return trained;
  // Elsewhere the grids of rows take up a scale between queries and keys, and nothing changes.
  const bool bmm = options_.quantize_bmm && options_.activation_bits != kFloatBits;
  const bool shifts = options_.activation_bits != kFloatBits;
  transformation_ = first_transformation(
      network_, inputs_.unit, ranges_in_float_network(network_, inputs_, shifts),
      {.alpha = options_.alpha, .shifts = shifts, .head_scale = bmm});
  for (ChannelChange& change : transformation_.channels) {
    const std::string& name = change.group.layers.front();
    train(name + ".scale", change.scale, trained);
    if (change.shift.defined()) train(name + ".shift", change.shift, trained);
  }
  if (transformation_.head_scale.defined()) {
    train("head_scale", transformation_.head_scale, trained);
  }
  return trained;
}

std::vector<optimise::Trainable> UnitTraining::start_clipping() {
  std::vector<optimise::Trainable> trained;
  if (!options_.lwc) return trained;
  for (const models::Layer& layer : layers_) {
    Clipping& clipping = clipping_[layer.name];
    clipping = first_clipping(float_parameters_.at(layer.name + ".weight"), options_.group);
    train(layer.name + ".high", clipping.high, trained);
    train(layer.name + ".low", clipping.low, trained);
  }
  return trained;
}

Parameters UnitTraining::rounded_parameters() const {
  Parameters parameters = transformed(float_parameters_, transformation_);
  for (const models::Layer& layer : layers_) {
    at::Tensor& weight = parameters.at(layer.name + ".weight");
    weight = quant::fake_quantize_through(weight, grid_of(layer.name, weight));
  }
  return parameters;
}

quant::Grid UnitTraining::grid_of(const std::string& layer, const at::Tensor& weight) const {
  const auto learned = clipping_.find(layer);
  return clipped_grid(weight, learned == clipping_.end() ? Clipping() : learned->second,
                      options_.weight_bits, options_.group);
}

at::Tensor UnitTraining::rows(const std::vector<at::Tensor>& by_chunk, std::int64_t first,
                              std::int64_t count) const {
  std::vector<at::Tensor> parts;
  for (std::int64_t row = first; row < first + count;) {
    const std::int64_t size = inputs_.chunks.front().size, at = row % size;
    const std::int64_t taken = std::min(size - at, first + count - row);
    parts.push_back(by_chunk[static_cast<std::size_t>(row / size)].narrow(0, at, taken));
    row += taken;
  }
  return parts.size() == 1 ? parts.front() : at::cat(parts, 0);
}

double UnitTraining::loss() const {
  const at::NoGradGuard no_gradients;
  const quant::ReplacedParameters replaced(network_, rounded_parameters());
  quant::ActivationTap rounding(quantizers_);
  double sum = 0;
  std::int64_t count = 0;
  for (std::size_t i = 0; i < inputs_.hidden.size(); ++i) {
    inputs_.between_chunks();
    const at::Tensor output = network_.unit(inputs_.unit, inputs_.hidden[i], rounding);
    const auto add = [&](const at::Tensor& target) {
      sum += inputs_.chunks[i].counted(output - target).square().sum(at::kDouble).item<double>();
    };
    add(inputs_.float_outputs[i]);
    if (options_.augment_loss) add(own_outputs_[i]);
    count += inputs_.chunks[i].counted(output).numel();
  }
  return sum / static_cast<double>(count);
}

double UnitTraining::step(std::int64_t first, std::int64_t count) {
  forget_gradients(let_);
  forget_gradients(lwc_);
  double value = 0;
  {
    const at::AutoGradMode gradients(true);
    const quant::ReplacedParameters replaced(network_, rounded_parameters());
    quant::StraightThroughTap rounding(quantizers_);
    const at::Tensor output =
        network_.unit(inputs_.unit, rows(inputs_.hidden, first, count), rounding);
    at::Tensor loss = at::mse_loss(output, rows(inputs_.float_outputs, first, count));
    if (options_.augment_loss) {
      loss = loss + at::mse_loss(output, rows(own_outputs_, first, count));
    }
    value = loss.item<double>();
    loss.backward();
  }
  const at::NoGradGuard no_gradients;
  let_.step(options_.let_learning_rate);
  limit_scales(transformation_);
  lwc_.step(options_.lwc_learning_rate);
  return value;
}

double UnitTraining::epoch() {
  const std::int64_t sequences = inputs_.chunks.back().begin + inputs_.chunks.back().valid;
  double sum = 0;
  for (std::int64_t first = 0; first < sequences; first += options_.batch) {
    inputs_.between_chunks();
    const std::int64_t count = std::min(options_.batch, sequences - first);
    const double loss = step(first, count);
    if (!std::isfinite(loss)) {
      throw Error(
          ErrorKind::kMethod,
          fmt::format("block {}: the loss of a step is {}: smaller learning rates "
                      "(lwc_learning_rate: {}, let_learning_rate: {}) may help",
                      inputs_.unit, loss, options_.lwc_learning_rate, options_.let_learning_rate),
          {{"block", std::to_string(inputs_.unit)}});
    }
    sum += loss * static_cast<double>(count);
  }
  return sum / static_cast<double>(sequences);
}

quant::QuantizedModel UnitTraining::model() const {
  const at::NoGradGuard no_gradients;
  quant::QuantizedModel made{.method = "omniquant", .activations = quantizers_};
  Parameters parameters = transformed(float_parameters_, transformation_);
  for (const models::Layer& layer : layers_) {
    const at::Tensor weight = parameters.extract(layer.name + ".weight").mapped();
    made.layers[layer.name] = quant::in_layer(
        layer.name, [&] { return quant::quantized_layer(weight, grid_of(layer.name, weight)); });
  }
  for (const auto& [name, value] : parameters) {
    if (!value.is_same(float_parameters_.at(name))) made.parameters[name] = value;
  }
  return made;
}

}  // namespace assay::omniquant
