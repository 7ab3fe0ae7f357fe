#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "harness/base/enum_names.h"
#include "harness/models/hadamard.h"
#include "harness/models/network.h"

// The rotation of a decoder, without stages. Source: QuaRot, Ashkboos et al. 2024 (arXiv
// 2404.00456), section 4; SliceGPT, Ashkboos et al. 2024 (arXiv 2401.15024), for why a network
// computes the same afterwards.

namespace assay::quarot {

enum class RotationKind {
  kHadamard,  // a Hadamard matrix whose rows have random signs
  kRandom,    // uniformly distributed among orthogonal matrices (QR of normal values)
};

constexpr auto enum_names(RotationKind) {
  return std::to_array<EnumName<RotationKind>>(
      {{RotationKind::kHadamard, "hadamard"}, {RotationKind::kRandom, "random"}});
}

// Q [width, width], orthogonal, of the stream (seed, "quarot.rotation"). float64.
class Rotation {
 public:
  // Throws Error(kUnsupported) for a width without Hadamard matrix.
  Rotation(RotationKind kind, std::int64_t width, std::uint64_t seed);

  // x: float64 [.., width]; every row x becomes x Q.
  at::Tensor operator()(const at::Tensor& x) const;

 private:
  std::optional<models::Hadamard> hadamard_;
  at::Tensor signs_;   // with hadamard_: Q = diag(signs) H^T, [width]
  at::Tensor matrix_;  // else
};

// That a network of this kind can be rotated. Throws Error(kUnsupported): a family without residual
// stream, a network that is rotated already, a size without Hadamard matrix.
void require_rotatable(const models::Network& network, RotationKind kind);

// Channels of the residual stream.
std::int64_t residual_width(const models::Network& network);

// A network that computes what `network` does, up to rounding, and whose activations are rotated:
//   norms       weight and bias move into the layers behind them; of a LayerNorm the mean, too,
//               into what is added to the stream. What is left is x / sqrt(mean x^2 + eps)
//   embeddings  E <- E Q, and the head, which is a tensor of its own then, head <- head Q
//   readers     W <- W Q
//   writers     W <- Q^T W, b <- Q^T b
//   heads, MLP  as models::BlockRotation says: rows of v, columns of the output projection and of
//               the last layer of the MLP
// Computed in float64, layer by layer, then in the dtype and on the device of `network`, which must
// have no prefix. Throws as require_rotatable.
std::unique_ptr<models::Network> rotated(const models::Network& network, const Rotation& rotation);

}  // namespace assay::quarot
