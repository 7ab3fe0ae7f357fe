#pragma once

#include "harness/base/enum_names.h"

namespace assay {

// What a run's networks compute in (`run.precision`).
enum class Precision { kFloat32, kFloat64, kBFloat16, kFloat16 };

constexpr auto enum_names(Precision) {
  using enum Precision;
  return std::to_array<EnumName<Precision>>({{kFloat32, "float32"},
                                             {kFloat64, "float64"},
                                             {kBFloat16, "bfloat16"},
                                             {kFloat16, "float16"}});
}

constexpr bool is_half(Precision precision) {
  return precision == Precision::kBFloat16 || precision == Precision::kFloat16;
}

}  // namespace assay
