#pragma once

#include <cstdint>

#include "harness/contract/bits.h"

namespace assay::omniquant {

// Of the training of a unit.
struct Options {
  int weight_bits = kFloatBits;
  int activation_bits = kFloatBits;  // of each token, in training and after it; 16: they stay
  bool quantize_bmm = true;          // queries, keys and values too
  std::int64_t group = -1;           // input columns that share a grid; -1: whole rows
  bool lwc = true;                   // the range of every row and group is learned
  bool let = true;                   // scales and shifts of channels are learned
  double alpha = 0.5;                // of the scales that training starts from
  bool augment_loss = false;
  std::int64_t epochs = 20;
  std::int64_t batch = 1;  // sequences a step
  double lwc_learning_rate = 1e-2;
  double let_learning_rate = 5e-3;
};

}  // namespace assay::omniquant
