#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace assay::optimise {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.05;
};

// A parameter under its name, with its gradient in tensor.grad() after a backward pass.
struct Trainable {
  std::string name;
  at::Tensor tensor;
  bool decays = true;
};

// Adam with decoupled weight decay (Loshchilov and Hutter, "Decoupled weight decay regularization",
// ICLR 2019, algorithm 2), one update a step t = 1, 2, ...:
//   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
//   w = w - lr (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay w)
// Moments have their parameter's dtype. Used by one thread.
class AdamW {
 public:
  AdamW(std::vector<Trainable> parameters, AdamWOptions options);

  // One update at learning rate `lr`; a parameter without a gradient stays as it is.
  void step(double lr);

  std::int64_t steps() const { return steps_; }
  const std::vector<Trainable>& parameters() const { return parameters_; }

  // Moments as "<name>.m" and "<name>.v", the very tensors; with steps() the whole state.
  std::map<std::string, at::Tensor> state() const;
  // Throws Error(kData) if a moment is missing or misshapen.
  void restore(const std::map<std::string, at::Tensor>& state, std::int64_t steps);

 private:
  std::vector<Trainable> parameters_;
  AdamWOptions options_;
  std::vector<at::Tensor> first_, second_;
  std::int64_t steps_ = 0;
};

// Scales all gradients so that their joint Euclidean norm is at most `limit` (0: no limit). Returns
// the norm before. Summed in float64 in the order given.
double clip_gradients(const std::vector<Trainable>& parameters, double limit);

}  // namespace assay::optimise
