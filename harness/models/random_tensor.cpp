#include "harness/models/random_tensor.h"

#include <ATen/ATen.h>

namespace assay::models {
namespace {

template <typename Draw>
at::Tensor filled(const std::vector<std::int64_t>& shape, at::ScalarType type, Draw draw) {
  const at::Tensor values = at::empty(shape, at::kDouble);
  double* data = values.data_ptr<double>();
  for (std::int64_t i = 0; i < values.numel(); ++i) data[i] = draw();
  return values.to(type);
}

}  // namespace

at::Tensor uniform_tensor(Philox& random, std::vector<std::int64_t> shape, double low, double high,
                          at::ScalarType type) {
  return filled(shape, type, [&] { return random.uniform(low, high); });
}

at::Tensor normal_tensor(Philox& random, std::vector<std::int64_t> shape, double mean,
                         double deviation, at::ScalarType type) {
  return filled(shape, type, [&] { return mean + deviation * random.normal(); });
}

}  // namespace assay::models
