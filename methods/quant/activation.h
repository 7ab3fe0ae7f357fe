#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "harness/base/enum_names.h"
#include "harness/base/json.h"
#include "harness/models/tap.h"

// Quantizers of activations, and the tap that puts them at their sites.

namespace assay::quant {

struct Range {
  double low = 0;
  double high = 0;
};

enum class ActivationScheme {
  kTensorStatic,   // one calibrated range a site
  kTensorDynamic,  // the range of the current tensor of each sample: of one sequence or one image
  kToken,          // the range of each row of the last dimension
};

constexpr auto enum_names(ActivationScheme) {
  return std::to_array<EnumName<ActivationScheme>>(
      {{ActivationScheme::kTensorStatic, "tensor_static"},
       {ActivationScheme::kTensorDynamic, "tensor_dynamic"},
       {ActivationScheme::kToken, "token"}});
}

enum class RoundingOrder {
  kRoundThenZero,  // round(x / scale) + zero
  kZeroThenRound,  // round(x / scale + zero): protocol P1 (PSAQ-ViT, FQ-ViT)
};

// value = scale (clamp(code, 0, 2^bits - 1) - zero). Symmetric: scale = clip max|x| / (2^(bits-1) -
// 1), zero = 2^(bits-1). Asymmetric: scale = clip (high - low) / (2^bits - 1) with 0 inside the
// range.
struct ActivationQuantizer {
  ActivationScheme scheme = ActivationScheme::kTensorStatic;
  RoundingOrder order = RoundingOrder::kRoundThenZero;
  int bits = 8;
  bool symmetric = false;
  double clip = 1;
  double scale = 1;  // static only; a float32 value unless the network is float64
  double zero = 0;   // static only; a whole number
  // kToken only, one of both at most. `group`: so many channels of a row share a range, which is
  // then not the row's; 0: all. `over_heads`: of keys and values [samples, heads, T, d], the range
  // of a position is that of all heads.
  std::int64_t group = 0;
  bool over_heads = false;

  // Same shape and dtype as x: [samples, ...]. Samples do not see each other, so neither the size
  // of a chunk nor the rows that pad it move a value. Throws Error(kData) for a row that `group`
  // does not divide, and for `over_heads` of what has no heads.
  at::Tensor operator()(const at::Tensor& x) const;

  bool operator==(const ActivationQuantizer&) const = default;
};

// What the values of x are rounded by, each of x's rank or a scalar: the given pair of a static
// quantizer, or that of the current values.
struct ScalePair {
  at::Tensor scale, zero;
};
ScalePair scale_pair(const at::Tensor& x, const ActivationQuantizer& quantizer);

double highest_code(const ActivationQuantizer& quantizer);  // 2^bits - 1

// A static quantizer from a calibrated range, computed in `type` (float32 or float64). A range
// without width becomes [-1, 1].
ActivationQuantizer static_quantizer(Range range, int bits, bool symmetric, at::ScalarType type);

// The same of protocol P1: 0 is not forced into the range, scale = max((high - low) / (2^bits - 1),
// 1.19e-7), zero = clamp(-round(low / scale), 0, 2^bits - 1), zero added before rounding.
ActivationQuantizer p1_quantizer(Range range, int bits, at::ScalarType type);

Json to_json(const ActivationQuantizer& quantizer);
// `where` names the file and site in errors. Throws Error(kData).
ActivationQuantizer activation_quantizer_from(const Json& json, const std::string& where);

// Fake-quantizes at the sites that have a quantizer; other sites pass.
class ActivationTap : public models::Tap {
 public:
  explicit ActivationTap(std::map<std::string, ActivationQuantizer, std::less<>> quantizers)
      : quantizers_(std::move(quantizers)) {}

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool passive() const override { return quantizers_.empty(); }
  bool wants(std::string_view site) const override { return quantizers_.contains(site); }

  // Quantizers of sites that have none yet.
  void add(const std::map<std::string, ActivationQuantizer, std::less<>>& quantizers) {
    quantizers_.insert(quantizers.begin(), quantizers.end());
  }

 private:
  std::map<std::string, ActivationQuantizer, std::less<>> quantizers_;
};

}  // namespace assay::quant
