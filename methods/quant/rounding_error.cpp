#include "methods/quant/rounding_error.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>

namespace assay::quant {
namespace {

template <typename T>
struct Rows {
  std::int64_t columns;
  const T *weight, *scale, *zero;
  T qmax;
  T* error;
};

template <typename T>
inline __attribute__((always_inline)) void errors_of(const Rows<T>& rows, std::int64_t begin,
                                                     std::int64_t end) {
  for (std::int64_t row = begin; row < end; ++row) {
    const T scale = rows.scale[row], zero = rows.zero[row], qmax = rows.qmax;
    const T* __restrict weight = rows.weight + row * rows.columns;
    T* __restrict error = rows.error + row * rows.columns;
    for (std::int64_t j = 0; j < rows.columns; ++j) {
      T code = std::nearbyint(weight[j] / scale) + zero;
      code = code < 0 ? 0 : code;
      code = code > qmax ? qmax : code;
      error[j] = scale * (code - zero) - weight[j];
    }
  }
}

#if defined(__x86_64__)
template <typename T>
__attribute__((target("avx2"))) void errors_avx2(const Rows<T>& rows, std::int64_t begin,
                                                 std::int64_t end) {
  errors_of(rows, begin, end);
}
#endif

template <typename T>
at::Tensor errors(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                  double qmax) {
  const at::Tensor in = weight.contiguous();
  const at::Tensor scales = scale.contiguous(), zeros = zero.contiguous();
  at::Tensor out = at::empty_like(in);
  const Rows<T> rows{.columns = in.size(-1),
                     .weight = in.const_data_ptr<T>(),
                     .scale = scales.const_data_ptr<T>(),
                     .zero = zeros.const_data_ptr<T>(),
                     .qmax = static_cast<T>(qmax),
                     .error = out.mutable_data_ptr<T>()};
  at::parallel_for(0, scales.numel(), 1 + 20000 / (rows.columns + 1),
                   [&](std::int64_t begin, std::int64_t end) {
#if defined(__x86_64__)
                     if (__builtin_cpu_supports("avx2")) return errors_avx2(rows, begin, end);
#endif
                     errors_of(rows, begin, end);
                   });
  return out;
}

}  // namespace

at::Tensor rounding_error(const at::Tensor& weight, const at::Tensor& scale, const at::Tensor& zero,
                          double qmax) {
  const bool plain =
      weight.is_cpu() && weight.numel() > 0 && scale.numel() * weight.size(-1) == weight.numel();
  if (plain && weight.scalar_type() == at::kFloat) return errors<float>(weight, scale, zero, qmax);
  if (plain && weight.scalar_type() == at::kDouble) {
    return errors<double>(weight, scale, zero, qmax);
  }
  const at::Tensor code = at::clamp(at::round(weight / scale) + zero, 0, qmax);
  return scale * (code - zero) - weight;
}

}  // namespace assay::quant
