#include "harness/models/hadamard.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cmath>

#include "harness/base/error.h"
#include "harness/models/precision.h"

namespace assay::models {
namespace {

constexpr auto kBases =
    std::to_array<std::int64_t>({172, 156, 140, 108, 60, 52, 36, 28, 40, 20, 12});

// One product is faster than two smaller ones up to here.
constexpr std::int64_t kWhole = 128;
constexpr int kWholeBits = 7;

bool is_power_of_two(std::int64_t n) { return n > 0 && (n & (n - 1)) == 0; }

// K of a size; 0: there is none.
std::int64_t base_of(std::int64_t size) {
  for (const std::int64_t base : kBases) {
    if (size % base == 0 && is_power_of_two(size / base)) return base;
  }
  return is_power_of_two(size) ? 1 : 0;
}

// 2^bits, orthogonal.
at::Tensor sylvester(int bits) {
  at::Tensor matrix = at::ones({1, 1}, at::kDouble);
  const at::Tensor two = at::tensor({1.0, 1.0, 1.0, -1.0}, at::kDouble).reshape({2, 2});
  for (int i = 0; i < bits; ++i) matrix = at::kron(matrix, two);
  return matrix / std::sqrt(static_cast<double>(matrix.size(0)));
}

// Orthogonal factors, none larger than kWhole but the first.
std::vector<at::Tensor> factors_of(std::int64_t size) {
  const std::int64_t base = base_of(size);
  int bits = 0;
  while (base << bits < size) ++bits;
  std::vector<at::Tensor> factors;
  if (base > 1) {
    factors.push_back(hadamard_base(base) / std::sqrt(static_cast<double>(base)));
  }
  const int parts = (bits + kWholeBits - 1) / kWholeBits;
  for (int i = 0; i < parts; ++i) factors.push_back(sylvester((bits + i) / parts));
  if (factors.empty()) factors.push_back(sylvester(0));
  if (size <= kWhole && factors.size() == 2) return {at::kron(factors[0], factors[1])};
  return factors;
}

}  // namespace

bool has_hadamard(std::int64_t size) { return base_of(size) > 0; }

void require_hadamard(std::int64_t size, const std::string& what) {
  if (has_hadamard(size)) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{} is {}, and no Hadamard matrix of that size is known here: sizes are "
                          "powers of two, and {} times a power of two",
                          what, size, fmt::join(kBases.rbegin(), kBases.rend(), ", ")),
              {{"size", std::to_string(size)}});
}

at::Tensor hadamard_matrix(std::int64_t size) {
  require_hadamard(size, "the size");
  at::Tensor matrix = at::ones({1, 1}, at::kDouble);
  for (const at::Tensor& factor : factors_of(size)) matrix = at::kron(matrix, factor);
  return matrix;
}

Hadamard::Hadamard(std::int64_t size) : size_(size) {
  require_hadamard(size, "the size");
  factors_ = factors_of(size);
}

const std::vector<at::Tensor>& Hadamard::factors_like(const at::Tensor& x) const {
  if (!like_.empty() && like_.front().scalar_type() == x.scalar_type() &&
      like_.front().device() == x.device() &&
      (!like_.front().is_inference() || c10::InferenceMode::is_enabled()))  // else autograd refuses
    return like_;
  like_.clear();
  for (const at::Tensor& factor : factors_) like_.push_back(factor.to(x.options()).detach());
  return like_;
}

at::Tensor Hadamard::applied(const at::Tensor& x, bool inverse) const {
  if (is_half(x.scalar_type())) return applied(x.to(at::kFloat), inverse).to(x.scalar_type());
  const std::vector<at::Tensor>& factors = factors_like(x);
  at::Tensor y = x.reshape({-1, size_});
  // The last axis is multiplied and becomes the first, until all have come round.
  for (auto factor = factors.rbegin(); factor != factors.rend(); ++factor) {
    const std::int64_t width = factor->size(0);
    y = at::matmul(y.reshape({-1, size_ / width, width}), inverse ? *factor : factor->t())
            .transpose(1, 2);
  }
  return y.reshape(x.sizes());
}

}  // namespace assay::models
