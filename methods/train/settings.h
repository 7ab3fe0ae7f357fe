#pragma once

#include <cstdint>

#include "harness/contract/declared_options.h"
#include "methods/optimise/adamw.h"

namespace assay::train {

// The parameters of method `train`.
struct Settings {
  std::int64_t steps = 0;  // 0: `epochs` decides
  double epochs = 10;
  std::int64_t batch = 128;
  double lr = 1e-3;
  double final_lr = 1e-5;
  double warmup = 0.05;  // part of all steps
  optimise::AdamWOptions optimiser;
  double clip = 1;
  double smoothing = 0;
  std::int64_t crop = 0;  // pixels of padding around an image before a random crop
  bool flip = false;
  std::int64_t window = 0;  // tokens; 0: the network's context

  void visit(OptionVisitor& option);

  // Steps of a run on `samples` samples (images, or windows of a text). Throws Error(kConfig) if a
  // batch does not fit into the samples, or there is no step.
  std::int64_t total_steps(std::int64_t samples) const;

  // Throws Error(kConfig) if there is no step whatever the samples are.
  void require_steps() const;
};

}  // namespace assay::train
