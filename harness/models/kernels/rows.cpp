#include "harness/models/kernels/rows.h"

#include <ATen/ATen.h>

#include "harness/models/kernels/loops.h"

namespace assay::models::kernels {

at::Tensor layer_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                      double eps) {
  const at::Tensor in = x.contiguous();
  const at::Tensor out = at::empty(in.sizes(), in.options());
  const std::int64_t width = weight.size(0);
  loops()->layer_norm(in.const_data_ptr<float>(), weight.contiguous().const_data_ptr<float>(),
                      bias.contiguous().const_data_ptr<float>(), out.mutable_data_ptr<float>(),
                      {in.numel() / width, width}, eps);
  return out;
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::Tensor in = x.contiguous();
  const at::Tensor out = at::empty(in.sizes(), in.options());
  const std::int64_t width = weight.size(0);
  loops()->rms_norm(in.const_data_ptr<float>(), weight.contiguous().const_data_ptr<float>(),
                    out.mutable_data_ptr<float>(), {in.numel() / width, width}, eps);
  return out;
}

void swiglu_(const at::Tensor& gate, const at::Tensor& up) {
  loops()->swiglu(gate.mutable_data_ptr<float>(), up.const_data_ptr<float>(), gate.numel());
}

void rotate_(const at::Tensor& x, const at::Tensor& cosine, const at::Tensor& sine) {
  float* to = x.mutable_data_ptr<float>();
  for (std::int64_t b = 0; b < x.size(0); ++b, to += x.stride(0))
    loops()->rotate(to, cosine.const_data_ptr<float>(), sine.const_data_ptr<float>(), x.size(1),
                    x.size(2), x.size(3) / 2);
}

}  // namespace assay::models::kernels
