#include "methods/quant/activation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/models/precision.h"
#include "methods/quant/grid_loops.h"

namespace assay::quant {
namespace {

double levels(int bits) { return static_cast<double>((std::int64_t{1} << bits) - 1); }
double half(int bits) { return static_cast<double>(std::int64_t{1} << (bits - 1)); }

// Dimensions that share a range: the last one, with the heads before it or not, or all but the
// first, which counts samples.
std::vector<std::int64_t> shared_dimensions(const at::Tensor& x, const ActivationQuantizer& q) {
  if (q.over_heads) return {1, -1};
  if (q.scheme == ActivationScheme::kToken) return {-1};
  std::vector<std::int64_t> dimensions;
  for (std::int64_t d = x.dim() > 1 ? 1 : 0; d < x.dim(); ++d) dimensions.push_back(d);
  return dimensions;
}

// Of the current values: of each sample, or of each row of the last dimension.
ScalePair dynamic_pair(const at::Tensor& x, const ActivationQuantizer& q) {
  const std::vector<std::int64_t> dimensions = shared_dimensions(x, q);
  at::Tensor low = x.amin(dimensions, true).clamp_max(0);
  at::Tensor high = x.amax(dimensions, true).clamp_min(0);
  const double divisor = q.symmetric ? std::max(half(q.bits) - 1, 1.0) : levels(q.bits);
  if (q.symmetric) {
    high = at::maximum(-low, high);
    low = at::zeros_like(high);
  }
  const at::Tensor scale = (high - low) * q.clip / divisor;
  const at::Tensor safe =
      at::where(scale <= std::numeric_limits<float>::min(), at::ones_like(scale), scale);
  if (q.symmetric) return {safe, at::full_like(safe, half(q.bits))};
  return {safe, at::round(-low * q.clip / safe)};
}

// The arithmetic of float32 networks is float32 also for the pair of a site.
template <typename Float>
ActivationQuantizer make_static(Range range, int bits, bool symmetric) {
  auto low = std::min(static_cast<Float>(range.low), Float{0});
  auto high = std::max(static_cast<Float>(range.high), Float{0});
  if (symmetric) {
    high = std::max(-low, high);
    low = -high;
  }
  ActivationQuantizer q{.bits = bits, .symmetric = symmetric};
  if (!((high - low) / static_cast<Float>(levels(bits)) > std::numeric_limits<float>::min())) {
    low = -1, high = 1;
  }
  if (symmetric) {
    q.scale = high / static_cast<Float>(std::max(half(bits) - 1, 1.0));
    q.zero = half(bits);
  } else {
    const Float scale = (high - low) / static_cast<Float>(levels(bits));
    q.scale = scale;
    q.zero = std::nearbyint(-low / scale);
  }
  return q;
}

template <typename Float>
ActivationQuantizer make_p1(Range range, int bits) {
  const auto low = static_cast<Float>(range.low);
  const auto high = static_cast<Float>(range.high);
  const Float scale = std::max((high - low) / static_cast<Float>(levels(bits)),
                               static_cast<Float>(std::numeric_limits<float>::epsilon()));
  const Float zero =
      std::clamp(-std::nearbyint(low / scale), Float{0}, static_cast<Float>(levels(bits)));
  return {.order = RoundingOrder::kZeroThenRound, .bits = bits, .scale = scale, .zero = zero};
}

void check_range(Range range, int bits) {
  if (!std::isfinite(range.low) || !std::isfinite(range.high) || range.low > range.high) {
    throw Error(ErrorKind::kMethod, fmt::format("an activation range from {} to {} is not finite",
                                                range.low, range.high));
  }
  if (bits < 1 || bits > 16) {
    throw Error(ErrorKind::kConfig,
                fmt::format("an activation quantizer of {} bits: expected 1 to 16", bits));
  }
}

// The same on any device, and where gradients are asked for.
at::Tensor snapped_by_operations(const at::Tensor& x, const ScalePair& pair,
                                 const ActivationQuantizer& q) {
  at::Tensor y = x / pair.scale;
  if (q.order == RoundingOrder::kZeroThenRound) {
    y.add_(pair.zero).round_();
  } else {
    y.round_().add_(pair.zero);
  }
  return y.clamp_(0, levels(q.bits)).sub_(pair.zero).mul_(pair.scale);
}

template <typename T>
at::Tensor snapped_by_loops(const at::Tensor& x, const ScalePair& pair,
                            const ActivationQuantizer& q) {
  const at::Tensor scale = pair.scale.contiguous(), zero = pair.zero.contiguous();
  at::Tensor out = at::empty_like(x);
  const std::int64_t columns = std::max<std::int64_t>(x.size(-1), 1), rows = x.numel() / columns;
  snap_rows(SnappedRows<T>{.rows = rows,
                           .columns = columns,
                           .rows_of_pair = std::max<std::int64_t>(rows / scale.numel(), 1),
                           .values = x.const_data_ptr<T>(),
                           .scale = scale.const_data_ptr<T>(),
                           .zero = zero.const_data_ptr<T>(),
                           .highest = static_cast<T>(levels(q.bits)),
                           .zero_first = q.order == RoundingOrder::kZeroThenRound,
                           .out = out.mutable_data_ptr<T>()});
  return out;
}

// x / scale becomes the value of its code.
at::Tensor snapped(const at::Tensor& x, const ScalePair& pair, const ActivationQuantizer& q) {
  const bool loops = x.is_cpu() && x.dim() > 0 && x.numel() > 0 && x.is_contiguous() &&
                     !q.over_heads && !(x.requires_grad() && c10::GradMode::is_enabled());
  if (loops && x.scalar_type() == at::kFloat) return snapped_by_loops<float>(x, pair, q);
  if (loops && x.scalar_type() == at::kDouble) return snapped_by_loops<double>(x, pair, q);
  return snapped_by_operations(x, pair, q);
}

// Each row of the last dimension as several of `group` channels.
at::Tensor by_groups(const at::Tensor& x, const ActivationQuantizer& q) {
  if (x.size(-1) % q.group != 0) {
    throw Error(ErrorKind::kData,
                fmt::format("a quantizer of groups of {} channels does not fit rows of {}", q.group,
                            x.size(-1)));
  }
  ActivationQuantizer of_group = q;
  of_group.group = 0;
  return of_group(x.reshape({-1, q.group})).reshape(x.sizes());
}

}  // namespace

at::Tensor ActivationQuantizer::operator()(const at::Tensor& x) const {
  if (group > 0) return by_groups(x, *this);
  if (over_heads && x.dim() != 4) {
    throw Error(ErrorKind::kData,
                fmt::format("a quantizer over all heads does not fit a tensor of {} dimensions: "
                            "expected [samples, heads, positions, channels]",
                            x.dim()));
  }
  // A scale has no half-precision value that is near enough: codes would move by whole steps.
  if (models::is_half(x.scalar_type())) return (*this)(x.to(at::kFloat)).to(x.scalar_type());
  return snapped(x, scale_pair(x, *this), *this);
}

ScalePair scale_pair(const at::Tensor& x, const ActivationQuantizer& quantizer) {
  if (quantizer.scheme != ActivationScheme::kTensorStatic) return dynamic_pair(x, quantizer);
  // Tensors rather than C++ numbers: a device would multiply by the reciprocal of a number.
  return {at::full({}, quantizer.scale, x.options()), at::full({}, quantizer.zero, x.options())};
}

double highest_code(const ActivationQuantizer& quantizer) { return levels(quantizer.bits); }

ActivationQuantizer static_quantizer(Range range, int bits, bool symmetric, at::ScalarType type) {
  check_range(range, bits);
  return type == at::kDouble ? make_static<double>(range, bits, symmetric)
                             : make_static<float>(range, bits, symmetric);
}

ActivationQuantizer p1_quantizer(Range range, int bits, at::ScalarType type) {
  check_range(range, bits);
  return type == at::kDouble ? make_p1<double>(range, bits) : make_p1<float>(range, bits);
}

Json to_json(const ActivationQuantizer& q) {
  Json json = {{"scheme", enum_name(q.scheme)},
               {"zero_before_rounding", q.order == RoundingOrder::kZeroThenRound},
               {"bits", q.bits},
               {"symmetric", q.symmetric},
               {"clip", q.clip},
               {"scale", q.scale},
               {"zero", q.zero}};
  if (q.group > 0) json["group"] = q.group;
  if (q.over_heads) json["over_heads"] = true;
  return json;
}

ActivationQuantizer activation_quantizer_from(const Json& json, const std::string& where) {
  ActivationQuantizer q;
  q.scheme = enum_from<ActivationScheme>(text_member(json, "scheme", where), where + ": scheme",
                                         ErrorKind::kData);
  q.order = flag_member(json, "zero_before_rounding", where) ? RoundingOrder::kZeroThenRound
                                                             : RoundingOrder::kRoundThenZero;
  const std::int64_t bits = integer_member(json, "bits", where);
  q.symmetric = flag_member(json, "symmetric", where);
  q.clip = number_member(json, "clip", where);
  q.scale = number_member(json, "scale", where);
  q.zero = number_member(json, "zero", where);
  if (json.contains("group")) q.group = integer_member(json, "group", where);
  q.over_heads = flag_member_or(json, "over_heads", false, where);
  const bool parted = q.group > 0 || q.over_heads;
  if (q.group < 0 || (q.group > 0 && q.over_heads) ||
      (parted && q.scheme != ActivationScheme::kToken)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} is no quantizer: group is 0 or above, and scheme 'token' with "
                            "group or over_heads, not both",
                            where, json.dump().substr(0, 300)));
  }
  if (bits < 1 || bits > 16 || !(q.scale > 0) || !std::isfinite(q.scale) || !(q.clip > 0) ||
      q.zero != std::nearbyint(q.zero)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: {} is no quantizer: bits 1 to 16, scale and clip above 0, zero a "
                            "whole number",
                            where, json.dump().substr(0, 300)));
  }
  q.bits = static_cast<int>(bits);
  return q;
}

at::Tensor ActivationTap::operator()(std::string_view site, const at::Tensor& value) {
  const auto found = quantizers_.find(site);
  return found == quantizers_.end() ? value : found->second(value);
}

}  // namespace assay::quant
