#include "harness/evaluate/activation_sizes.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>

#include "harness/base/error.h"
#include "harness/evaluate/network_traits.h"
#include "harness/evaluate/window_groups.h"

namespace assay::evaluate {
namespace {

// Largest |x| of every window of the running chunk, by unit, at the inputs of its linear layers.
class InputTap : public models::Tap {
 public:
  InputTap(const models::Network& network, models::Tap& own) : own_(own) {
    for (const models::Layer& layer : network.layers()) {
      if (layer.unit >= 0 && layer.unit < network.unit_count()) units_[layer.input_site] = layer.unit;
    }
  }

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    if (const auto found = units_.find(site); found != units_.end()) {
      const at::Tensor largest = value.abs().flatten(1).amax(1).to(at::kCPU, at::kDouble);
      at::Tensor& kept = maxima[found->second];
      kept = kept.defined() ? at::maximum(kept, largest) : largest;
    }
    return own_(site, value);
  }
  bool wants(std::string_view site) const override { return own_.wants(site); }

  std::map<std::int64_t, at::Tensor> maxima;  // [rows], by unit

 private:
  models::Tap& own_;
  std::map<std::string, std::int64_t, std::less<>> units_;
};

// Between the two values that surround it, as numpy's default. values: [n], ascending.
double quantile_of(const at::Tensor& values, double part) {
  const double place = part * static_cast<double>(values.numel() - 1);
  const auto below = static_cast<std::int64_t>(place);
  const std::int64_t above = std::min(below + 1, values.numel() - 1);
  const double low = values[below].item<double>(), high = values[above].item<double>();
  return low + (high - low) * (place - static_cast<double>(below));
}

void require_finite(const at::Tensor& maxima, std::int64_t unit) {
  if (maxima.isfinite().all().item<bool>()) return;
  throw Error(ErrorKind::kMethod, fmt::format("activations of unit {} are not finite", unit),
              {{"unit", std::to_string(unit)}});
}

// The rows of all windows; each group fills in its own.
struct Rows {
  at::Tensor input_max, input_top10, input_median, layer_max;  // [windows, units]

  void take_input(const WindowGroup& group, std::int64_t unit, const at::Tensor& hidden) const {
    const at::ScalarType type = hidden.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    for (std::size_t row = 0; row < group.windows.size(); ++row) {
      const std::int64_t window = group.windows[row];
      const at::Tensor sizes = std::get<0>(
          hidden[static_cast<std::int64_t>(row)].abs().to(at::kCPU, type).flatten().sort());
      const at::Tensor largest = sizes[sizes.numel() - 1];
      require_finite(largest, unit);
      input_max[window][unit].copy_(largest);
      input_top10[window][unit].fill_(quantile_of(sizes, 0.9));
      input_median[window][unit].fill_(quantile_of(sizes, 0.5));
    }
  }

  void take_layers(const WindowGroup& group, const InputTap& inputs) const {
    for (const auto& [unit, maxima] : inputs.maxima) {
      require_finite(maxima, unit);
      for (std::size_t row = 0; row < group.windows.size(); ++row) {
        layer_max[group.windows[row]][unit].copy_(maxima[static_cast<std::int64_t>(row)]);
      }
    }
  }
};

}  // namespace

ActivationRecords measure_activations(const models::Network& network, models::Tap& tap,
                                      const WindowedText& text, const datasets::ChunkPlan& plan,
                                      const Progress& progress) {
  const c10::InferenceMode inference;
  require_fit(network.info(), text);
  const at::Device device = traits_of(network).device;
  const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(text.windows.size()),
                                           network.unit_count()};
  const auto empty = [&] { return at::zeros(shape, at::kDouble); };
  const Rows rows{empty(), empty(), empty(), empty()};
  for_each_group(
      text, plan,
      [&](const WindowGroup& group) {
        InputTap inputs(network, tap);
        at::Tensor hidden = network.embed(group.input.to(device), inputs);
        for (std::int64_t unit = 0; unit < network.unit_count(); ++unit) {
          rows.take_input(group, unit, hidden);
          hidden = network.unit(unit, hidden, inputs);
        }
        rows.take_layers(group, inputs);
      },
      progress);
  const datasets::Range mine = datasets::samples_of(plan);
  const auto own = [&](const at::Tensor& all) { return all.narrow(0, mine.begin, mine.size()); };
  return {own(rows.input_max), own(rows.input_top10), own(rows.input_median), own(rows.layer_max)};
}

ActivationSizes summarise(const ActivationRecords& records) {
  if (records.input_max.size(0) == 0) {
    throw Error(ErrorKind::kData, "activations of no window have no size");
  }
  const auto values = [](const at::Tensor& by_unit) {
    const at::Tensor own = by_unit.contiguous();
    return std::vector<double>(own.const_data_ptr<double>(),
                               own.const_data_ptr<double>() + own.numel());
  };
  return {values(records.input_max.amax(0)), values(records.input_top10.mean(0)),
          values(records.input_median.mean(0)), values(records.layer_max.amax(0))};
}

}  // namespace assay::evaluate
