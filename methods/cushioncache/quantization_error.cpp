#include "methods/cushioncache/quantization_error.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

namespace assay::cushioncache {
namespace {

double steps_of(const ErrorOptions& options) {
  const int bits = options.denominator == Denominator::kPrinted ? options.bits - 1 : options.bits;
  return static_cast<double>((std::int64_t{1} << bits) - 1);
}

}  // namespace

at::Tensor rounded(const at::Tensor& x, const ErrorOptions& options) {
  const at::NoGradGuard no_gradients;
  const std::vector<std::int64_t> shared = options.range == RangeOf::kToken
                                               ? std::vector<std::int64_t>{-1}
                                               : std::vector<std::int64_t>{1, 2};
  const at::Tensor low = x.amin(shared, true);
  const at::Tensor range = x.amax(shared, true) - low;
  const at::Tensor step = at::where(range > 0, range / steps_of(options), at::ones_like(range));
  return (x - low).div_(step).round_().mul_(step).add_(low);
}

std::vector<std::string> error_sites(const models::Network& network) {
  std::vector<std::string> sites;
  for (const models::Layer& layer : network.layers()) {
    if (layer.unit < 0 || layer.unit >= network.unit_count()) continue;
    if (std::find(sites.begin(), sites.end(), layer.input_site) == sites.end()) {
      sites.push_back(layer.input_site);
    }
  }
  return sites;
}

ErrorTap::ErrorTap(const std::vector<std::string>& sites, const ErrorOptions& options,
                   std::int64_t skipped)
    : options_(options), skipped_(skipped) {
  for (const std::string& site : sites) errors_.emplace(site, at::Tensor());
}

at::Tensor ErrorTap::operator()(std::string_view site, const at::Tensor& value) {
  const auto found = errors_.find(site);
  if (found == errors_.end()) return value;
  const at::Tensor x = value.narrow(1, skipped_, value.size(1) - skipped_);
  const at::Tensor error = (x - rounded(x, options_)).square().sum(at::kDouble);
  found->second = found->second.defined() ? found->second + error : error;
  energy_ += x.detach().square().sum(at::kDouble).item<double>();
  return value;
}

at::Tensor ErrorTap::total() const {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (const auto& [site, error] : errors_) {
    if (error.defined()) total = total + error.to(at::kCPU);
  }
  return total;
}

}  // namespace assay::cushioncache
