#include "harness/models/precision.h"

#include <fmt/format.h>

#include "harness/core/error.h"

namespace assay::models {

at::ScalarType precision_of(const Json& recipe) {
  const Json numerics = recipe.value("numerics", Json::object());
  const Json name = numerics.is_object() ? numerics.value("precision", Json("float32")) : Json();
  if (name == "float32") return at::kFloat;
  if (name == "float64") return at::kDouble;
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("precision {} is not supported; legal: float32, float64, bfloat16, float16",
                  name.dump()));
}

bool is_half(at::ScalarType type) { return type == at::kHalf || type == at::kBFloat16; }

}  // namespace assay::models
