#include "harness/models/decoder.h"

#include "harness/models/random_tensor.h"

namespace assay::models {

at::Tensor initial_of_decoder(const std::string& name, const at::Tensor& like, double deviation,
                              Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (name.ends_with(".bias")) return at::zeros(shape);
  if (shape.size() == 1) return at::ones(shape);
  return normal_tensor(random, shape, 0.0, deviation);
}

}  // namespace assay::models
