#include "harness/spec/bits.h"

#include <fmt/format.h>

namespace assay::spec {

Bits parse_bits(const Node& node) {
  if (node.is_scalar()) {
    if (const std::optional<Bits> bits = bits_from(node.text)) return *bits;
  }
  refuse(node.place,
         fmt::format("bits must be like W4A8 (weights and activations, 1 to 16, 16: float) or "
                     "W4A8KV4 (keys and values of attention too), not {}",
                     node.shown()),
         node.shown());
}

}  // namespace assay::spec
