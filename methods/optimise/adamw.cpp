#include "methods/optimise/adamw.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.h"

namespace assay::optimise {

AdamW::AdamW(std::vector<Trainable> parameters, AdamWOptions options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const Trainable& parameter : parameters_) {
    first_.push_back(at::zeros_like(parameter.tensor));
    second_.push_back(at::zeros_like(parameter.tensor));
  }
}

void AdamW::step(double lr) {
  const c10::NoGradGuard no_grad;
  ++steps_;
  const double t = static_cast<double>(steps_);
  const double first_bias = 1 - std::pow(options_.beta1, t);
  const double second_root = std::sqrt(1 - std::pow(options_.beta2, t));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    at::Tensor& w = parameters_[i].tensor;
    const at::Tensor& g = w.grad();
    if (!g.defined()) continue;
    first_[i].mul_(options_.beta1).add_(g, 1 - options_.beta1);
    second_[i].mul_(options_.beta2).addcmul_(g, g, 1 - options_.beta2);
    if (parameters_[i].decays) w.mul_(1 - lr * options_.weight_decay);
    const at::Tensor root = second_[i].sqrt().div_(second_root).add_(options_.epsilon);
    w.addcdiv_(first_[i], root, -lr / first_bias);
  }
}

std::map<std::string, at::Tensor> AdamW::state() const {
  std::map<std::string, at::Tensor> state;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    state[parameters_[i].name + ".m"] = first_[i];
    state[parameters_[i].name + ".v"] = second_[i];
  }
  return state;
}

void AdamW::restore(const std::map<std::string, at::Tensor>& state, std::int64_t steps) {
  for (const auto& [name, moment] : this->state()) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != moment.sizes())
      throw Error(ErrorKind::kData,
                  fmt::format("the optimiser's state has no '{}' of the parameter's shape", name),
                  {{"tensor", name}});
    at::Tensor(moment).copy_(found->second);
  }
  steps_ = steps;
}

double clip_gradients(const std::vector<Trainable>& parameters, double limit) {
  const c10::NoGradGuard no_grad;
  double square = 0;
  for (const Trainable& parameter : parameters) {
    if (!parameter.tensor.grad().defined()) continue;
    const double norm = parameter.tensor.grad().norm().item<double>();
    square += norm * norm;
  }
  const double norm = std::sqrt(square);
  if (limit > 0 && norm > limit) {
    for (const Trainable& parameter : parameters)
      if (parameter.tensor.grad().defined()) at::Tensor(parameter.tensor.grad()).mul_(limit / norm);
  }
  return norm;
}

}  // namespace assay::optimise
