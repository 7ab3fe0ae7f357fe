#include "methods/weights_only.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "harness/contract/stage_parameters.h"

namespace assay {

void require_rounded_activations(const std::string& method, int weight_bits, int activation_bits,
                                 bool rounded) {
  if (rounded || activation_bits == kFloatBits) return;
  const std::string weights_only =
      weight_bits == kFloatBits ? "" : fmt::format("write W{}A16, or ", weight_bits);
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{0} quantizes weights only, and no method before it rounds activations: "
                          "a_bits = {1}; {2}let rtn round them first: \"rtn + {0}\" with "
                          "rtn.quantize: activations",
                          method, activation_bits, weights_only),
              {{"parameter", "a_bits"}, {"value", std::to_string(activation_bits)}});
}

Rounding rounds_weights(const StageContext& context) {
  const StageParameters asked(context);
  Rounding rounding{.weights = asked.bits("w_bits") != kFloatBits,
                    .weight_bits = asked.bits("w_bits")};
  // Its own to refuse where nothing before it rounds them.
  if (asked.bits("a_bits") != kFloatBits) rounding.activations.reset();
  return rounding;
}

}  // namespace assay
