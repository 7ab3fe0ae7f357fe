#pragma once

namespace assay {

// Bits of a weight or activation that is not quantized: "W4A16" rounds weights alone.
inline constexpr int kFloatBits = 16;

}  // namespace assay
