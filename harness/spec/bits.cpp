#include "harness/spec/bits.h"

#include <fmt/format.h>

namespace assay::spec {

void parse_bits(const Node& node, int& weight_bits, int& activation_bits) {
  const std::string& text = node.text;
  const auto digits = [&](std::size_t from, std::size_t to) -> int {
    if (to <= from || to - from > 2) return 0;
    int value = 0;
    for (std::size_t i = from; i < to; ++i) {
      if (text[i] < '0' || text[i] > '9') return 0;
      value = 10 * value + (text[i] - '0');
    }
    return value;
  };
  const std::size_t a = text.find_first_of("Aa");
  if (node.is_scalar() && !text.empty() && (text[0] == 'W' || text[0] == 'w') &&
      a != std::string::npos) {
    weight_bits = digits(1, a);
    activation_bits = digits(a + 1, text.size());
    if (weight_bits >= 1 && weight_bits <= 16 && activation_bits >= 1 && activation_bits <= 16) {
      return;
    }
  }
  refuse(node.place,
         fmt::format("bits must be like W4A8 (weights and activations, 1 to 16, 16: float), not {}",
                     node.shown()),
         node.shown());
}

}  // namespace assay::spec
