#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

// Hadamard matrices, scaled to be orthogonal: entries +-1 / sqrt(n), H H^T = I.
//
// Those of size n = K 2^m exist here, K the first of 172, 156, 140, 108, 60, 52, 36, 28, 40, 20, 12
// for which m is a whole number, else 1: the Kronecker product of one of size K and of Sylvester's
// of size 2^m (m times [[1, 1], [1, -1]]).

namespace assay::models {

bool has_hadamard(std::int64_t size);

// Throws Error(kUnsupported) unless has_hadamard(size). `what` has that size: "the MLP's width".
void require_hadamard(std::int64_t size, const std::string& what);

// float64 [size, size]. Throws as require_hadamard.
at::Tensor hadamard_matrix(std::int64_t size);

// +-1, float64 [size, size], for the K above: by Paley (q + 1, and 2 (q + 1) of a conference
// matrix), doubling, or Goethals and Seidel (four circulant matrices). Throws Error(kUnsupported)
// for another size.
at::Tensor hadamard_base(std::int64_t size);

// The product with hadamard_matrix(size) by its Kronecker factors: a value costs as many operations
// as the sizes of the factors add up to (12 + 128 for size 1536). Used by one thread.
class Hadamard {
 public:
  // Throws as require_hadamard.
  explicit Hadamard(std::int64_t size);

  std::int64_t size() const { return size_; }

  // x: floating [.., size]; every row x becomes H x, or H^T x. In half precision computed in
  // float32 and rounded once. Gradients pass.
  at::Tensor operator()(const at::Tensor& x) const { return applied(x, false); }
  at::Tensor inverse(const at::Tensor& x) const { return applied(x, true); }

 private:
  at::Tensor applied(const at::Tensor& x, bool inverse) const;
  const std::vector<at::Tensor>& factors_like(const at::Tensor& x) const;

  std::int64_t size_;
  std::vector<at::Tensor> factors_;       // float64; H is their Kronecker product, first to last
  mutable std::vector<at::Tensor> like_;  // the same, of the last type and device asked for
};

}  // namespace assay::models
