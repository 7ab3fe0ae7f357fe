#include "methods/train/settings.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.h"

namespace assay::train {

void Settings::visit(OptionVisitor& option) {
  option(steps, {.name = "steps",
                 .unit = "steps",
                 .minimum = 0,
                 .maximum = 1e9,
                 .doc = "Updates to make; 0: as many as `epochs` says."});
  option(epochs, {.name = "epochs",
                  .unit = "epochs",
                  .minimum = 0,
                  .maximum = 1e6,
                  .doc = "Passes over the training data, where `steps` is 0.",
                  .when = "steps=0"});
  option(batch, {.name = "batch",
                 .unit = "samples",
                 .minimum = 1,
                 .maximum = 1 << 20,
                 .doc = "Images or text windows of one update."});
  const auto real = [&option](double& value, const char* name, double least, double most,
                              const char* doc) {
    option(value, {.name = name, .minimum = least, .maximum = most, .doc = doc});
  };
  real(lr, "lr", 0, 10, "Learning rate after the warm-up.");
  real(final_lr, "final_lr", 0, 10, "Learning rate at the end of the cosine.");
  real(warmup, "warmup", 0, 1, "Part of all steps over which the learning rate rises.");
  real(optimiser.weight_decay, "weight_decay", 0, 10,
       "Decoupled decay of parameters with two or more dimensions.");
  real(optimiser.beta1, "beta1", 0, 0.99999999, "Decay of the first moment.");
  real(optimiser.beta2, "beta2", 0, 0.99999999, "Decay of the second moment.");
  real(optimiser.epsilon, "epsilon", 1e-16, 1, "Added to the root of the second moment.");
  real(clip, "clip", 0, 1e9, "Largest joint norm of all gradients; 0: no limit.");
  real(smoothing, "smoothing", 0, 0.999, "Label smoothing of the cross-entropy.");
  option(crop, {.name = "crop",
                .unit = "pixels",
                .minimum = 0,
                .maximum = 256,
                .doc = "Zero padding around an image before a random crop to its size.",
                .when = "task:classification"});
  option(flip, {.name = "flip",
                .doc = "Mirror half of the images left to right.",
                .when = "task:classification"});
  option(window, {.name = "window",
                  .unit = "tokens",
                  .minimum = 0,
                  .maximum = 1 << 20,
                  .doc = "Length of a text window; 0: the network's context.",
                  .when = "task:language"});
}

void Settings::require_steps() const {
  if (steps > 0 || epochs > 0) return;
  throw Error(ErrorKind::kConfig, "train: 0 epochs make no step; raise `epochs` or give `steps`",
              {{"parameter", "epochs"}, {"value", "0"}});
}

std::int64_t Settings::total_steps(std::int64_t samples) const {
  if (samples < batch)
    throw Error(ErrorKind::kConfig,
                fmt::format("train: a batch of {} does not fit into {} training samples; lower "
                            "`batch`",
                            batch, samples),
                {{"parameter", "batch"}, {"value", std::to_string(batch)}});
  const double by_epochs = epochs * static_cast<double>(samples / batch);
  const std::int64_t total = steps > 0 ? steps : std::llround(by_epochs);
  if (total < 1)
    throw Error(ErrorKind::kConfig,
                fmt::format("train: {} epochs of {} samples make no step; raise `epochs` or give "
                            "`steps`",
                            epochs, samples),
                {{"parameter", "epochs"}, {"value", fmt::format("{}", epochs)}});
  return total;
}

}  // namespace assay::train
