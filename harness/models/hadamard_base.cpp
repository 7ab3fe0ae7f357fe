// Hadamard matrices of the sizes that are no power of two times a smaller one.

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <vector>

#include "harness/base/error.h"
#include "harness/models/hadamard.h"

namespace assay::models {
namespace {

at::Tensor of_size_two() { return at::tensor({1.0, 1.0, 1.0, -1.0}, at::kDouble).reshape({2, 2}); }

// chi(i - j) for a prime q: 1 for squares other than 0, -1 for other numbers, 0 for 0. [q, q].
at::Tensor jacobsthal(std::int64_t q) {
  std::vector<double> chi(static_cast<std::size_t>(q), -1.0);
  for (std::int64_t i = 1; i < q; ++i) chi[static_cast<std::size_t>(i * i % q)] = 1.0;
  chi[0] = 0.0;
  const at::Tensor residues = at::arange(q).unsqueeze(1) - at::arange(q).unsqueeze(0);
  return at::tensor(chi, at::kDouble).index({residues.remainder(q)});
}

// [[0, 1], [side, Q]], [q + 1, q + 1].
at::Tensor bordered(std::int64_t q, double side) {
  at::Tensor matrix = at::zeros({q + 1, q + 1}, at::kDouble);
  matrix[0].narrow(0, 1, q).fill_(1.0);
  matrix.select(1, 0).narrow(0, 1, q).fill_(side);
  matrix.narrow(0, 1, q).narrow(1, 1, q).copy_(jacobsthal(q));
  return matrix;
}

// Paley's first construction, for q = 3 mod 4: size q + 1.
at::Tensor paley(std::int64_t q) { return at::eye(q + 1, at::kDouble) + bordered(q, -1.0); }

// Paley's second, for q = 1 mod 4: size 2 (q + 1).
at::Tensor paley_doubled(std::int64_t q) {
  const at::Tensor diagonal = at::tensor({1.0, -1.0, -1.0, -1.0}, at::kDouble).reshape({2, 2});
  return at::kron(bordered(q, 1.0), of_size_two()) +
         at::kron(at::eye(q + 1, at::kDouble), diagonal);
}

// Four sequences of +-1 with periods of length n whose autocorrelations add up to 0 at every shift.
// Each is constant on the orbits of the numbers below n under multiplication by `unit`, in the
// order of their smallest members: bit i of a mask says that orbit i is +1.
struct Sequences {
  std::int64_t length;
  std::int64_t unit;  // of order 3
  std::array<std::uint32_t, 4> masks;
};

at::Tensor circulant(const Sequences& sequences, std::uint32_t mask) {
  std::vector<double> first(static_cast<std::size_t>(sequences.length), 0.0);
  int orbit = 0;
  for (std::int64_t i = 0; i < sequences.length; ++i) {
    if (first[static_cast<std::size_t>(i)] != 0.0) continue;
    const double sign = (mask >> orbit++ & 1) != 0 ? 1.0 : -1.0;
    for (std::int64_t k = 0, at = i; k < 3; ++k, at = at * sequences.unit % sequences.length) {
      first[static_cast<std::size_t>(at)] = sign;
    }
  }
  const at::Tensor shifts =
      at::arange(sequences.length).unsqueeze(0) - at::arange(sequences.length).unsqueeze(1);
  return at::tensor(first, at::kDouble).index({shifts.remainder(sequences.length)});
}

// The array of Goethals and Seidel, size 4 n.
at::Tensor goethals_seidel(const Sequences& sequences) {
  const auto matrix = [&](int i) {
    return circulant(sequences, sequences.masks[static_cast<std::size_t>(i)]);
  };
  const auto reversed = [](const at::Tensor& x) { return x.flip(1); };
  const at::Tensor a = matrix(0), b = matrix(1), c = matrix(2), d = matrix(3);
  const auto row = [](const at::TensorList parts) { return at::cat(parts, 1); };
  return at::cat({row({a, reversed(b), reversed(c), reversed(d)}),
                  row({-reversed(b), a, reversed(d.t()), -reversed(c.t())}),
                  row({-reversed(c), -reversed(d.t()), a, reversed(b.t())}),
                  row({-reversed(d), reversed(c.t()), -reversed(b.t()), a})},
                 0);
}

}  // namespace

at::Tensor hadamard_base(std::int64_t size) {
  // Found by search among sequences of this form.
  constexpr Sequences kThirteen{13, 3, {0x3, 0x7, 0x3, 0xd}};
  constexpr Sequences kThirtyNine{39, 16, {0x5cb, 0x1a69, 0x6f, 0x421f}};
  constexpr Sequences kFortyThree{43, 6, {0x6bd, 0x72d, 0x61f, 0x749}};
  switch (size) {
    case 12:
    case 20:
    case 60:
    case 108:
    case 140:
      return paley(size - 1);
    case 28:
    case 36:
      return paley_doubled(size / 2 - 1);
    case 40:
      return at::kron(hadamard_base(20), of_size_two());
    case 52:
      return goethals_seidel(kThirteen);
    case 156:
      return goethals_seidel(kThirtyNine);
    case 172:
      return goethals_seidel(kFortyThree);
    default:
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("no Hadamard matrix of size {} is constructed here", size));
  }
}

}  // namespace assay::models
