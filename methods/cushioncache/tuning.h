#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "harness/base/enum_names.h"
#include "harness/models/network.h"
#include "harness/models/tensor_file.h"
#include "methods/cushioncache/quantization_error.h"
#include "methods/optimise/adamw.h"

// Quantization-aware tuning of a prefix's keys and values. Source: Son et al. 2024, section 3.2.

namespace assay::cushioncache {

// What the prediction loss is computed with.
enum class Prediction {
  kFloat,      // the network as it is
  kQuantized,  // activations rounded at the sites, the gradient passing as if they were not
};

constexpr auto enum_names(Prediction) {
  return std::to_array<EnumName<Prediction>>(
      {{Prediction::kFloat, "float"}, {Prediction::kQuantized, "quantized"}});
}

// What the quantization error beside the prediction loss is a mean over.
enum class ErrorMean {
  kToken,     // as the prediction loss is
  kSequence,  // the sum over the tokens of a sequence, as the paper's formula reads
};

constexpr auto enum_names(ErrorMean) {
  return std::to_array<EnumName<ErrorMean>>(
      {{ErrorMean::kToken, "token"}, {ErrorMean::kSequence, "sequence"}});
}

struct TuningOptions {
  ErrorOptions error;
  double lambda = 0.01;  // weight of the quantization error
  ErrorMean error_mean = ErrorMean::kToken;
  std::int64_t epochs = 2;
  double learning_rate = 1e-3;  // of the first step; falls to 0 in a line
  std::int64_t batch = 8;       // sequences a step
  Prediction prediction = Prediction::kFloat;
  std::uint64_t seed = 0;  // of the order of texts
};

struct Losses {
  double prediction = 0;  // mean cross-entropy of the next token, in nats
  double error = 0;       // mean over sequences of the quantization error
};

// Adds the gradient of prediction + lambda error to the prefix that the network has, whose tensors
// must ask for gradients: the prediction's is a mean over the tokens of `texts` [B, T], the error's
// over what `error_mean` says.
Losses add_gradients(const models::Network& network, const at::Tensor& texts,
                     const TuningOptions& options);

// A prefix being tuned by AdamW without weight decay: everything that a step changes is in its
// state.
class Tuner {
 public:
  // Borrows the network, which has the prefix to begin with. texts: int64 [n, T], longer ones cut
  // to what the network takes behind the prefix.
  Tuner(models::Network& network, const at::Tensor& texts, const TuningOptions& options);

  std::int64_t total_steps() const;
  std::int64_t steps_done() const { return optimiser_.steps(); }

  // One update; returns the losses before it. Throws Error(kMethod) if they are not finite.
  Losses step();

  models::TensorMap state() const;
  // Throws Error(kData) for a state of another prefix.
  void restore(const models::TensorMap& state, std::int64_t steps);

 private:
  at::Tensor batch_of(std::int64_t step) const;

  models::Network& network_;
  at::Tensor texts_;
  TuningOptions options_;
  optimise::AdamW optimiser_;
};

}  // namespace assay::cushioncache
