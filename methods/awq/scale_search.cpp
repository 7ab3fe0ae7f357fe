#include "methods/awq/scale_search.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "harness/base/error.h"
#include "methods/quant/in_layer.h"
#include "methods/quant/replaced_parameters.h"
#include "methods/quant/site_value.h"
#include "methods/quant/unit_layers.h"

namespace assay::awq {
namespace {

constexpr double kSmallest = 1e-4;

// Weights of the layers of a group, by the names of the parameters.
using Weights = std::map<std::string, at::Tensor>;

at::Tensor& weight_of(const models::Network& network, const std::string& layer) {
  return network.parameters().at(layer + ".weight");
}

// Q(W diag(s)) diag(s)^-1.
at::Tensor rounded_behind(const at::Tensor& weight, const at::Tensor& scales,
                          const Options& options) {
  const at::Tensor scaled = weight * scales;
  return quant::fake_quantize(scaled, quant::find_grid(scaled, grid_of(options))) / scales;
}

// Mean square that the outputs of a linear layer move by. moments: (2 / n) sum x x^T.
double error_by_moments(const at::Tensor& weight, const at::Tensor& rounded,
                        const at::Tensor& moments) {
  const at::Tensor delta = rounded - weight;
  const double sum = (at::matmul(delta, moments) * delta).sum(at::kDouble).item<double>();
  return sum / 2 / static_cast<double>(weight.size(0));
}

// Mean square that what arrives at a site moves by when weights are replaced.
class SiteError {
 public:
  SiteError(const models::Network& network, const quant::UnitInputs& inputs, std::string site)
      : network_(network), inputs_(inputs), site_(std::move(site)) {
    for (std::size_t i = 0; i < inputs.hidden.size(); ++i) float_values_.push_back(value_of(i));
  }

  double operator()(const Weights& replaced) const {
    const quant::ReplacedParameters replacement(network_, replaced);
    double sum = 0;
    std::int64_t count = 0;
    for (std::size_t i = 0; i < float_values_.size(); ++i) {
      const at::Tensor difference = inputs_.chunks[i].counted(value_of(i) - float_values_[i]);
      sum += difference.square().sum(at::kDouble).item<double>();
      count += difference.numel();
    }
    return sum / static_cast<double>(count);
  }

 private:
  at::Tensor value_of(std::size_t chunk) const {
    inputs_.between_chunks();
    return quant::site_value(network_, inputs_.unit, inputs_.hidden[chunk], site_, inputs_.own);
  }

  const models::Network& network_;
  const quant::UnitInputs& inputs_;
  std::string site_;
  std::vector<at::Tensor> float_values_;  // by chunk
};

// The site whose value is compared for layers that scale together.
std::string inspected_site(const models::Network& network, std::int64_t unit,
                           const models::ScaleGroup& group) {
  const std::vector<models::Layer> layers = quant::layers_of(network, unit);
  const std::optional<models::AttentionParts> parts = network.attention_parts(unit);
  const bool attention = parts && group.layers.front() == parts->q;
  return attention ? quant::layer_named(parts->out, layers).output_site : layers.back().output_site;
}

}  // namespace

at::Tensor channel_scales(const at::Tensor& mean_sizes, double ratio) {
  const at::Tensor scales = mean_sizes.pow(ratio).clamp_min(kSmallest);
  return scales / (scales.max() * scales.min()).sqrt();
}

ScaleChoice search_scales(const models::Network& network, const quant::UnitInputs& inputs,
                          const models::ScaleGroup& group, const InputStatistics& statistics,
                          const Options& options) {
  const std::string& first = group.layers.front();
  const std::string site =
      quant::layer_named(first, quant::layers_of(network, inputs.unit)).input_site;
  std::optional<SiteError> at_site;
  if (!scales_alone(group)) {
    at_site.emplace(network, inputs, inspected_site(network, inputs.unit, group));
  }
  ScaleChoice choice;
  double least = std::numeric_limits<double>::infinity();
  for (std::int64_t i = 0; i < options.ratios; ++i) {
    const double ratio = static_cast<double>(i) / static_cast<double>(options.ratios);
    const at::Tensor scales = channel_scales(statistics.mean_sizes.at(site), ratio);
    Weights rounded;
    for (const std::string& layer : group.layers) {
      rounded[layer + ".weight"] = quant::in_layer(
          layer, [&] { return rounded_behind(weight_of(network, layer), scales, options); });
    }
    const double error =
        at_site ? (*at_site)(rounded)
                : error_by_moments(weight_of(network, first), rounded.at(first + ".weight"),
                                   statistics.moments.at(site));
    choice.errors.push_back(error);
    if (error < least) {
      least = error;
      choice.factors = scales;
    }
  }
  if (choice.factors.defined()) return choice;
  throw Error(ErrorKind::kMethod,
              fmt::format("layer '{}': rounded weights give errors that are NaN or infinite, "
                          "whatever scales its channels",
                          first),
              {{"layer", first}});
}

}  // namespace assay::awq
