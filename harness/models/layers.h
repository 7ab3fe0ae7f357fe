#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "harness/models/network.h"

// The pieces that networks are made of: plain structs that hold their parameters and apply one
// function each, of ATen or of kernels/, so that a forward pass reads like the formula in the
// paper.

namespace assay::models {

struct Linear {
  at::Tensor weight;  // [out, in]
  at::Tensor bias;    // [out] or undefined

  at::Tensor operator()(const at::Tensor& x) const;  // [.., in] -> [.., out]
};

struct LayerNorm {
  at::Tensor weight;  // [d]
  at::Tensor bias;
  double eps = 1e-5;

  at::Tensor operator()(const at::Tensor& x) const;
};

// x / sqrt(mean x^2 + eps) * weight; half-precision input is normalised in float32.
struct RmsNorm {
  at::Tensor weight;
  double eps = 1e-5;

  at::Tensor operator()(const at::Tensor& x) const;
};

struct Convolution {
  at::Tensor weight;  // [out, in / groups, kh, kw]
  at::Tensor bias;    // [out] or undefined
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;

  at::Tensor operator()(const at::Tensor& x) const;
};

struct BatchNorm {
  at::Tensor weight;
  at::Tensor bias;
  at::Tensor running_mean;
  at::Tensor running_var;
  double eps = 1e-5;

  // `training`: normalises by the statistics of the batch and moves the running ones by 0.1.
  at::Tensor operator()(const at::Tensor& x, bool training) const;
};

// Nobody else (a tap, the caller, autograd) can see this tensor, so it may be changed in place.
bool is_ours(const at::Tensor& x);

// In place where `is_ours` allows.
at::Tensor apply_relu(at::Tensor x);
at::Tensor apply_relu6(at::Tensor x);
at::Tensor apply_gelu(at::Tensor x);                             // exact (erf)
at::Tensor apply_swiglu(at::Tensor gate, const at::Tensor& up);  // silu(gate) * up
at::Tensor add_into(at::Tensor fresh, const at::Tensor& other);  // fresh + other
at::Tensor scale_by(at::Tensor fresh, const at::Tensor& other);

// Allocates parameters and enters them in a network's tables. `allocate` false: shapes only (meta
// tensors), for a loader that fills every slot. Throws Error(kConfig) when the network would grow
// beyond 2^38 parameters, before any memory is asked for.
class Builder {
 public:
  Builder(ParameterTable& parameters, ParameterTable& buffers, bool allocate)
      : parameters_(parameters), buffers_(buffers), allocate_(allocate) {}

  void parameter(const std::string& name, at::Tensor& slot, const std::vector<std::int64_t>& shape);
  void linear(const std::string& name, Linear& layer, std::int64_t in, std::int64_t out,
              bool bias = true);
  void layer_norm(const std::string& name, LayerNorm& layer, std::int64_t width, double eps);
  void rms_norm(const std::string& name, RmsNorm& layer, std::int64_t width, double eps);
  // Stride, padding and groups are read from `layer`.
  void convolution(const std::string& name, Convolution& layer, std::int64_t in, std::int64_t out,
                   std::int64_t kernel, bool bias = false);
  void batch_norm(const std::string& name, BatchNorm& layer, std::int64_t channels, double eps);

 private:
  at::Tensor made(const std::string& name, const std::vector<std::int64_t>& shape);

  ParameterTable& parameters_;
  ParameterTable& buffers_;
  bool allocate_;
  double elements_ = 0.0;
};

}  // namespace assay::models
