#include "methods/psaq_vit/losses.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <numbers>

namespace assay::psaq_vit {
namespace {

constexpr double kLeastWidth = 1e-12;

double width_of(const at::Tensor& grid) {
  return (grid[grid.size(0) - 1] - grid[0]).item<double>();
}

// Weights of the trapezoid rule, [points].
at::Tensor trapezoid_weights(const at::Tensor& grid) {
  const at::Tensor steps = grid.diff();
  at::Tensor weights = at::zeros_like(grid);
  weights.narrow(0, 0, steps.size(0)).add_(steps / 2);
  weights.narrow(0, 1, steps.size(0)).add_(steps / 2);
  return weights;
}

// Gaussian kernels around one grid point, [B, values].
at::Tensor kernels(const at::Tensor& similarity, const at::Tensor& point, double sigma) {
  const at::Tensor distance = point - similarity;
  return at::exp(distance.square() * (-0.5 / (sigma * sigma))) /
         (sigma * std::sqrt(2 * std::numbers::pi));
}

// d entropy / d similarity, [B, values]: one grid point at a time, so that nothing of size [B,
// values, points] exists.
at::Tensor entropy_gradient(const at::Tensor& similarity, const DensityEstimate& estimate,
                            const KdeOptions& options) {
  const auto images = static_cast<double>(similarity.size(0));
  const auto values = static_cast<double>(similarity.size(1));
  const at::Tensor weights = trapezoid_weights(estimate.grid);
  at::Tensor gradient = at::zeros_like(similarity);
  for (std::int64_t k = 0; k < options.points; ++k) {
    const at::Tensor point = estimate.grid[k];
    const at::Tensor density = estimate.density.select(1, k) + options.floor;
    const at::Tensor slope = -(at::log(density) + 1) * weights[k] / (images * values);  // [B]
    const at::Tensor kernel = kernels(similarity, point, options.sigma);
    gradient +=
        slope.unsqueeze(1) * kernel * (point - similarity) / (options.sigma * options.sigma);
  }
  return gradient;
}

}  // namespace

at::Tensor patch_similarity(const at::Tensor& av, bool drop_first) {
  at::Tensor tokens = av.mean(1);  // [B, N, d]
  if (drop_first) tokens = tokens.narrow(1, 1, tokens.size(1) - 1);
  const at::Tensor unit = tokens / tokens.norm(2, {-1}, true).clamp_min(1e-8);
  return at::matmul(unit, unit.transpose(-2, -1));
}

DensityEstimate estimate_density(const at::Tensor& similarity, const KdeOptions& options) {
  const at::NoGradGuard no_gradients;
  const auto [low, high] = at::aminmax(similarity);
  DensityEstimate out;
  out.grid = at::linspace(low.item<double>(), high.item<double>(), options.points,
                          similarity.options().requires_grad(false));
  std::vector<at::Tensor> densities;
  for (std::int64_t k = 0; k < options.points; ++k) {
    densities.push_back(kernels(similarity, out.grid[k], options.sigma).mean(1));
  }
  out.density = at::stack(densities, 1);
  if (width_of(out.grid) < kLeastWidth) {
    out.entropy_per_image = at::zeros({similarity.size(0)}, out.grid.options());
    return out;
  }
  const at::Tensor p = out.density + options.floor;
  out.entropy_per_image = at::matmul(-p * at::log(p), trapezoid_weights(out.grid));
  return out;
}

at::Tensor similarity_entropy(const at::Tensor& similarity, const KdeOptions& options) {
  at::Tensor value, gradient;
  {
    const at::NoGradGuard no_gradients;
    const at::Tensor fixed = similarity.detach();
    const DensityEstimate estimate = estimate_density(fixed, options);
    value = estimate.entropy_per_image.mean();
    gradient = width_of(estimate.grid) < kLeastWidth ? at::zeros_like(fixed)
                                                     : entropy_gradient(fixed, estimate, options);
  }
  // A linear function with that gradient; its own value is taken away again.
  const at::Tensor linear = (similarity * gradient).sum();
  return linear + (value - linear.detach());
}

at::Tensor total_variation(const at::Tensor& x) {
  const std::int64_t height = x.size(2), width = x.size(3);
  const at::Tensor along_width = x.narrow(3, 0, width - 1) - x.narrow(3, 1, width - 1);
  const at::Tensor along_height = x.narrow(2, 0, height - 1) - x.narrow(2, 1, height - 1);
  const at::Tensor upper = x.narrow(2, 0, height - 1), lower = x.narrow(2, 1, height - 1);
  const at::Tensor down_left = upper.narrow(3, 1, width - 1) - lower.narrow(3, 0, width - 1);
  const at::Tensor down_right = upper.narrow(3, 0, width - 1) - lower.narrow(3, 1, width - 1);
  return along_width.norm() + along_height.norm() + down_left.norm() + down_right.norm();
}

double target_scale(const std::vector<std::int64_t>& shape) {
  double values = 1;
  for (const std::int64_t size : shape) values *= static_cast<double>(size);
  return std::sqrt(values / (32.0 * 3 * 224 * 224));
}

}  // namespace assay::psaq_vit
