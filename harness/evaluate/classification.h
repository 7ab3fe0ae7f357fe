#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "datasets/chunks.h"
#include "datasets/image_set.h"
#include "harness/evaluate/progress.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

namespace assay::evaluate {

// One value a sample, in data order.
struct ClassificationRecords {
  at::Tensor correct;  // uint8 [n]: the label has the largest logit; of equal ones the first counts
  at::Tensor top5;     // uint8 [n]: it is among the five largest
  at::Tensor margin;   // float32 [n]: its logit minus the largest other one
  at::Tensor nll;      // float64 [n]: -log softmax at the label, in nats
};

// Images of one shard of `plan` through the network, in fixed chunks. The last chunk holds what is
// left and no padding, which the ranges of dynamic quantizers would see. Throws Error(kConfig) if
// images or classes do not fit the network, Error(kMethod) naming the first sample whose logits are
// not finite.
ClassificationRecords classify(const models::Network& network, models::Tap& tap,
                               const datasets::ImageSet& images, const datasets::ChunkPlan& plan,
                               const Progress& progress = {});

// The records of given logits. logits: [n, classes] floating; labels: int64 [n].
ClassificationRecords records_of(const at::Tensor& logits, const at::Tensor& labels);

struct ClassificationMetrics {
  std::int64_t samples = 0;
  double top1 = 0;           // %
  double top5 = 0;           // %
  double cross_entropy = 0;  // nats, mean in sample order
};

// Throws Error(kData) if there is no sample.
ClassificationMetrics summarise(const ClassificationRecords& records);

}  // namespace assay::evaluate
