#include "harness/models/rotary.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <cmath>
#include <numbers>
#include <string>

#include "harness/base/error.h"
#include "harness/models/kernels/rows.h"
#include "harness/models/kernels/usable.h"
#include "harness/models/layers.h"

namespace assay::models {
namespace {

double factor_of(const Json& scaling, const char* name) {
  const auto found = scaling.find(name);
  if (found == scaling.end() || !found->is_number() || !(found->get<double>() > 0.0) ||
      !std::isfinite(found->get<double>())) {
    throw Error(ErrorKind::kConfig,
                fmt::format("configuration: the scaling of RoPE needs a positive number '{}'; it is {}",
                            name, scaling.dump()),
                {{"field", "rope_scaling"}});
  }
  return found->get<double>();
}

// Long wavelengths are stretched by `factor`, short ones kept, those between interpolated
// (Llama 3.1).
double llama3_frequency(double frequency, const Json& scaling) {
  const double factor = factor_of(scaling, "factor");
  const double low = factor_of(scaling, "low_freq_factor");
  const double high = factor_of(scaling, "high_freq_factor");
  const double context = factor_of(scaling, "original_max_position_embeddings");
  if (high <= low) {
    throw Error(ErrorKind::kConfig,
                fmt::format("configuration: the scaling of RoPE has high_freq_factor {} not above "
                            "low_freq_factor {}",
                            high, low),
                {{"field", "rope_scaling"}});
  }
  const double wavelength = 2.0 * std::numbers::pi / frequency;
  if (wavelength > context / low) return frequency / factor;
  if (wavelength < context / high) return frequency;
  const double smooth = (context / wavelength - low) / (high - low);
  return (1.0 - smooth) * frequency / factor + smooth * frequency;
}

std::string type_of(const Json& scaling) {
  if (scaling.is_null()) return "default";
  for (const char* name : {"rope_type", "type"})
    if (scaling.is_object() && scaling.contains(name) && scaling[name].is_string())
      return scaling[name].get<std::string>();
  throw Error(ErrorKind::kConfig,
              fmt::format("configuration: the scaling of RoPE is {}, not an object with a 'rope_type'",
                          scaling.dump()),
              {{"field", "rope_scaling"}});
}

}  // namespace

Rotary::Rotary(std::int64_t width, double base, const Json& scaling) {
  const std::string type = type_of(scaling);
  if (type != "default" && type != "linear" && type != "llama3") {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("configuration: scaling RoPE by '{}' is not supported; legal: "
                            "default, linear, llama3",
                            type),
                {{"field", "rope_scaling"}});
  }
  for (std::int64_t j = 0; j < width / 2; ++j) {
    double frequency = std::pow(base, -2.0 * static_cast<double>(j) / static_cast<double>(width));
    if (type == "linear") frequency /= factor_of(scaling, "factor");
    if (type == "llama3") frequency = llama3_frequency(frequency, scaling);
    frequencies_.push_back(frequency);
  }
}

void Rotary::extend(std::int64_t length, const at::Tensor& like) const {
  if (cosine_.defined() && cosine_.size(0) >= length &&
      cosine_.scalar_type() == like.scalar_type() && cosine_.device() == like.device() &&
      (!cosine_.is_inference() || c10::InferenceMode::is_enabled()))  // else autograd refuses them
    return;
  const at::Tensor positions = at::arange(length, at::kDouble).unsqueeze(1);
  const at::Tensor angles = positions * at::tensor(frequencies_, at::kDouble);  // [T, width / 2]
  const auto table = [&](const at::Tensor& values) {
    return values.unsqueeze(1).to(like.options()).detach();
  };
  cosine_ = table(angles.cos());
  sine_ = table(angles.sin());
}

at::Tensor Rotary::operator()(at::Tensor x, std::int64_t first) const {
  const std::int64_t length = x.size(1);
  extend(first + length, x);
  const at::Tensor c = cosine_.narrow(0, first, length);
  const at::Tensor s = sine_.narrow(0, first, length);
  if (kernels::usable(x)) {
    const at::Tensor turned =
        is_ours(x) && x.is_contiguous() ? std::move(x) : x.clone(at::MemoryFormat::Contiguous);
    kernels::rotate_(turned, c, s);
    return turned;
  }
  const std::int64_t half = x.size(3) / 2;
  const at::Tensor low = x.narrow(3, 0, half);
  const at::Tensor high = x.narrow(3, half, half);
  if (c10::GradMode::is_enabled()) return at::cat({low * c - high * s, high * c + low * s}, 3);
  at::Tensor turned = at::empty(x.sizes(), x.options());
  at::Tensor left = turned.narrow(3, 0, half);
  at::Tensor right = turned.narrow(3, half, half);
  at::mul_out(left, low, c);
  left.addcmul_(high, s, -1);
  at::mul_out(right, high, c);
  right.addcmul_(low, s);
  return turned;
}

}  // namespace assay::models
