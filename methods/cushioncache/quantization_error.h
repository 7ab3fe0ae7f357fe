#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/enum_names.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

// What rounding activations costs: the objective of CushionCache. Source: Son et al. 2024 (arXiv
// 2406.12016), section 3.

namespace assay::cushioncache {

// What shares a range.
enum class RangeOf { kTensor, kToken };

constexpr auto enum_names(RangeOf) {
  return std::to_array<EnumName<RangeOf>>(
      {{RangeOf::kTensor, "tensor"}, {RangeOf::kToken, "token"}});
}

// The steps that the range of N bits is divided into.
enum class Denominator {
  kPrinted,  // 2^(N-1) - 1, as the paper prints it
  kFull,     // 2^N - 1
};

constexpr auto enum_names(Denominator) {
  return std::to_array<EnumName<Denominator>>(
      {{Denominator::kPrinted, "printed"}, {Denominator::kFull, "full"}});
}

struct ErrorOptions {
  int bits = 8;
  RangeOf range = RangeOf::kTensor;
  Denominator denominator = Denominator::kPrinted;
};

// q(x) = s round((x - z) / s) + z with z = min x and s = (max x - min x) / steps, over each
// sequence or each token of x [B, T, channels]; nothing is clamped. No gradient passes.
at::Tensor rounded(const at::Tensor& x, const ErrorOptions& options);

// Inputs of the linear layers of the units, each once, in execution order.
std::vector<std::string> error_sites(const models::Network& network);

// Sums |x - q(x)|^2 at the sites, in float64, over the tokens that count. Where gradients are
// recorded, that of the sum is 2 (x - q(x)): range and codes are constants of it.
class ErrorTap : public models::Tap {
 public:
  // The first `skipped` tokens of every sequence neither count nor move a range.
  ErrorTap(const std::vector<std::string>& sites, const ErrorOptions& options,
           std::int64_t skipped = 0);

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override { return errors_.contains(site); }

  // By site; of a site that was not reached undefined.
  const std::map<std::string, at::Tensor, std::less<>>& errors() const { return errors_; }
  at::Tensor total() const;                  // scalar float64, of all sites so far
  double energy() const { return energy_; }  // sum of x^2

 private:
  ErrorOptions options_;
  std::int64_t skipped_;
  std::map<std::string, at::Tensor, std::less<>> errors_;
  double energy_ = 0;
};

}  // namespace assay::cushioncache
