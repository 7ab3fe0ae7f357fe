#include "harness/models/layers.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "harness/base/error.h"
#include "harness/models/kernels/rows.h"
#include "harness/models/kernels/usable.h"
#include "harness/models/precision.h"

namespace assay::models {
namespace {

constexpr double kMaxElements = 0x1p38;
constexpr double kMomentum = 0.1;

}  // namespace

at::Tensor Linear::operator()(const at::Tensor& x) const { return at::linear(x, weight, bias); }

at::Tensor LayerNorm::operator()(const at::Tensor& x) const {
  if (kernels::usable(x) && kernels::usable(weight))
    return kernels::layer_norm(x, weight, bias, eps);
  return at::layer_norm(x, weight.sizes(), weight, bias, eps);
}

at::Tensor RmsNorm::operator()(const at::Tensor& x) const {
  if (kernels::usable(x) && kernels::usable(weight)) return kernels::rms_norm(x, weight, eps);
  const at::ScalarType type = x.scalar_type();
  const at::Tensor wide = is_half(type) ? x.to(at::kFloat) : x;
  const at::Tensor inverse = wide.square().mean(-1, /*keepdim=*/true).add_(eps).rsqrt_();
  at::Tensor normed = wide * inverse;
  if (is_half(type)) normed = normed.to(type);
  return scale_by(std::move(normed), weight);
}

at::Tensor Convolution::operator()(const at::Tensor& x) const {
  return at::conv2d(x, weight, bias, stride, padding, 1, groups);
}

at::Tensor BatchNorm::operator()(const at::Tensor& x, bool training) const {
  return at::batch_norm(x, weight, bias, running_mean, running_var, training, kMomentum, eps,
                        /*cudnn_enabled=*/true);
}

bool is_ours(const at::Tensor& x) {
  return !c10::GradMode::is_enabled() && x.use_count() == 1 && x.storage().use_count() == 1;
}

at::Tensor apply_relu(at::Tensor x) { return is_ours(x) ? x.relu_() : x.relu(); }

at::Tensor apply_relu6(at::Tensor x) {
  return is_ours(x) ? x.clamp_(0.0, 6.0) : at::clamp(x, 0.0, 6.0);
}

at::Tensor apply_gelu(at::Tensor x) { return is_ours(x) ? at::gelu_(x) : at::gelu(x); }

at::Tensor apply_swiglu(at::Tensor gate, const at::Tensor& up) {
  if (!is_ours(gate)) return at::silu(gate) * up;
  if (kernels::usable(gate) && kernels::usable(up) && gate.is_contiguous() && up.is_contiguous()) {
    kernels::swiglu_(gate, up);
    return gate;
  }
  return at::silu_(gate).mul_(up);
}

at::Tensor add_into(at::Tensor fresh, const at::Tensor& other) {
  return is_ours(fresh) ? fresh.add_(other) : fresh + other;
}

at::Tensor scale_by(at::Tensor fresh, const at::Tensor& other) {
  return is_ours(fresh) ? fresh.mul_(other) : fresh * other;
}

at::Tensor Builder::made(const std::string& name, const std::vector<std::int64_t>& shape) {
  double elements = 1.0;
  for (const std::int64_t extent : shape) elements *= static_cast<double>(extent);
  elements_ += elements;
  if (elements_ > kMaxElements) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("the configuration asks for more than {:.0f} parameters ('{}' alone has "
                    "the shape [{}]): is a field wrong?",
                    kMaxElements, name, fmt::join(shape, ", ")),
        {{"tensor", name}});
  }
  return at::empty(shape,
                   at::TensorOptions().dtype(at::kFloat).device(allocate_ ? at::kCPU : at::kMeta));
}

void Builder::parameter(const std::string& name, at::Tensor& slot,
                        const std::vector<std::int64_t>& shape) {
  slot = made(name, shape);
  parameters_.add(name, &slot);
}

void Builder::linear(const std::string& name, Linear& layer, std::int64_t in, std::int64_t out,
                     bool bias) {
  parameter(name + ".weight", layer.weight, {out, in});
  if (bias) parameter(name + ".bias", layer.bias, {out});
}

void Builder::layer_norm(const std::string& name, LayerNorm& layer, std::int64_t width,
                         double eps) {
  parameter(name + ".weight", layer.weight, {width});
  parameter(name + ".bias", layer.bias, {width});
  layer.eps = eps;
}

void Builder::rms_norm(const std::string& name, RmsNorm& layer, std::int64_t width, double eps) {
  parameter(name + ".weight", layer.weight, {width});
  layer.eps = eps;
}

void Builder::convolution(const std::string& name, Convolution& layer, std::int64_t in,
                          std::int64_t out, std::int64_t kernel, bool bias) {
  parameter(name + ".weight", layer.weight, {out, in / layer.groups, kernel, kernel});
  if (bias) parameter(name + ".bias", layer.bias, {out});
}

void Builder::batch_norm(const std::string& name, BatchNorm& layer, std::int64_t channels,
                         double eps) {
  parameter(name + ".weight", layer.weight, {channels});
  parameter(name + ".bias", layer.bias, {channels});
  layer.running_mean = made(name + ".running_mean", {channels});
  layer.running_var = made(name + ".running_var", {channels});
  buffers_.add(name + ".running_mean", &layer.running_mean);
  buffers_.add(name + ".running_var", &layer.running_var);
  layer.eps = eps;
}

}  // namespace assay::models
