#include "harness/models/precision.h"

namespace assay::models {

at::ScalarType precision_of(const Numerics& numerics) {
  switch (numerics.precision) {
    case Precision::kFloat32:
      break;
    case Precision::kFloat64:
      return at::kDouble;
    case Precision::kBFloat16:
      return at::kBFloat16;
    case Precision::kFloat16:
      return at::kHalf;
  }
  return at::kFloat;
}

bool is_half(at::ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

}  // namespace assay::models
