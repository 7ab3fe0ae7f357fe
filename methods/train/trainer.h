#pragma once

#include <deque>
#include <filesystem>
#include <optional>

#include "harness/contract/stage_context.h"
#include "harness/models/network.h"
#include "methods/optimise/adamw.h"
#include "methods/train/batches.h"
#include "methods/train/schedule.h"
#include "methods/train/settings.h"

namespace assay::train {

// A network being trained: everything that an update changes, and nothing else, is in a checkpoint,
// so a run that was interrupted ends with the same bits as one that was not.
class Trainer {
 public:
  // Borrows network and batches.
  Trainer(models::Network& network, const Batches& batches, const Settings& settings);

  std::int64_t total_steps() const { return schedule_.steps; }
  std::int64_t steps_done() const { return optimiser_.steps(); }

  // One update; returns its loss. Throws Error(kMethod) if the loss is not finite.
  double step();

  // Mean loss of the last 100 updates (or all, if fewer).
  double recent_loss() const;

  // One file, replaced atomically: parameters, buffers, moments, recent losses, step.
  void save(const std::filesystem::path& file) const;
  // Throws Error(kData) for a file of another network.
  void load(const std::filesystem::path& file);

 private:
  at::Tensor loss_of(const Batch& batch) const;

  models::Network& network_;
  const Batches& batches_;
  Settings settings_;
  Schedule schedule_;
  optimise::AdamW optimiser_;
  std::deque<double> losses_;
};

// Steps to the end, writing a checkpoint into resume_dir() every `checkpoint_s` seconds and when a
// stop is asked for (then throws Error(kLost)); begins from a checkpoint that lies there.
void train_to_the_end(Trainer& trainer, StageContext& context, double checkpoint_s = 30);

}  // namespace assay::train
