#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "harness/base/enum_names.h"
#include "harness/models/tap.h"
#include "methods/quant/chunk.h"

// Second moments H = (2 / n) sum x x^T of layer inputs.

namespace assay::quant {

// What n counts. GPTQ's release counts sequences, so its H is `context` times larger.
enum class MomentUnit { kToken, kSequence };

constexpr auto enum_names(MomentUnit) {
  return std::to_array<EnumName<MomentUnit>>(
      {{MomentUnit::kToken, "token"}, {MomentUnit::kSequence, "sequence"}});
}

// Partial sums over fixed chunks in the working dtype, added in chunk order in float64: the result
// does not depend on who computed a chunk.
class MomentAccumulator {
 public:
  // One chunk: [sequences, tokens, features], or [rows, features] (a row is a sequence of one
  // token).
  void add(const at::Tensor& inputs);

  // [features, features] in the dtype of the inputs. Throws Error(kMethod) if nothing was added or
  // the sum is not finite.
  at::Tensor hessian(MomentUnit unit) const;

 private:
  at::Tensor sum_;  // float64 [features, features]
  at::ScalarType type_ = at::kFloat;
  std::int64_t tokens_ = 0;
  std::int64_t sequences_ = 0;
};

// Accumulates the moments of several sites over the chunks of a pass.
class MomentTap : public models::Tap {
 public:
  void watch(const std::string& site) { moments_[site]; }
  void begin(const Chunk* chunk) { chunk_ = chunk; }  // borrowed until the next call
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override { return moments_.contains(site); }

  // Throws Error(kMethod) naming a site that no pass reached.
  at::Tensor hessian(const std::string& site, MomentUnit unit) const;

 private:
  const Chunk* chunk_ = nullptr;
  std::map<std::string, MomentAccumulator, std::less<>> moments_;
};

}  // namespace assay::quant
