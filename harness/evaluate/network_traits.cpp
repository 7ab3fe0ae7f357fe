#include "harness/evaluate/network_traits.h"

#include <ATen/ATen.h>

namespace assay::evaluate {

NetworkTraits traits_of(const models::Network& network) {
  for (const auto& [name, slot] : network.parameters().shapes()) {
    if (slot->defined() && slot->is_floating_point()) {
      return {slot->scalar_type(), network.device()};
    }
  }
  return {};
}

}  // namespace assay::evaluate
