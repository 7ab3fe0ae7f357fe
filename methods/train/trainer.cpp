#include "methods/train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <numeric>

#include "harness/base/error.h"
#include "harness/models/tensor_file.h"

namespace assay::train {
namespace {

constexpr std::size_t kRecent = 100;

// Biases, norms and position tables stay where the data put them; weights decay.
bool decays(const std::string& name, const at::Tensor& tensor) {
  return tensor.dim() > 1 && name != "pos_embed" && name != "cls_token" && name != "dist_token";
}

std::vector<optimise::Trainable> trainables(models::Network& network) {
  std::vector<optimise::Trainable> result;
  for (const auto& [name, slot] : network.parameters().slots()) {
    slot->set_requires_grad(true);
    result.push_back({name, *slot, decays(name, *slot)});
  }
  return result;
}

Schedule schedule_for(const Settings& settings, std::int64_t samples) {
  Schedule schedule;
  schedule.steps = settings.total_steps(samples);
  schedule.warmup = std::llround(settings.warmup * static_cast<double>(schedule.steps));
  schedule.peak = settings.lr;
  schedule.final = settings.final_lr;
  return schedule;
}

}  // namespace

Trainer::Trainer(models::Network& network, const Batches& batches, const Settings& settings)
    : network_(network),
      batches_(batches),
      settings_(settings),
      schedule_(schedule_for(settings, batches.samples())),
      optimiser_(trainables(network), settings.optimiser) {}

at::Tensor Trainer::loss_of(const Batch& batch) const {
  at::Tensor input = batch.input;
  if (input.is_floating_point())
    input = input.to(optimiser_.parameters().front().tensor.scalar_type());
  const at::Tensor logits = network_.forward(input);
  return at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}), batch.target.reshape({-1}),
                                {}, at::Reduction::Mean, -100, settings_.smoothing);
}

double Trainer::step() {
  const std::int64_t index = steps_done();
  network_.set_training(true);
  const at::Tensor loss = loss_of(batches_.at(index));
  const double value = loss.item<double>();
  if (!std::isfinite(value))
    throw Error(ErrorKind::kMethod,
                fmt::format("train: the loss is {} at step {}; lower `lr` or `clip`, or raise "
                            "`warmup`",
                            std::abs(value), index),
                {{"step", std::to_string(index)}});
  loss.backward();
  network_.set_training(false);
  optimise::clip_gradients(optimiser_.parameters(), settings_.clip);
  optimiser_.step(schedule_.at(index));
  for (const optimise::Trainable& parameter : optimiser_.parameters())
    parameter.tensor.mutable_grad().reset();
  losses_.push_back(value);
  if (losses_.size() > kRecent) losses_.pop_front();
  return value;
}

double Trainer::recent_loss() const {
  return std::accumulate(losses_.begin(), losses_.end(), 0.0) /
         static_cast<double>(std::max<std::size_t>(losses_.size(), 1));
}

void Trainer::save(const std::filesystem::path& file) const {
  models::TensorMap tensors;
  for (const auto& [name, slot] : network_.parameters().slots())
    tensors["network." + name] = slot->detach();
  for (const auto& [name, slot] : network_.buffers().slots()) tensors["network." + name] = *slot;
  for (const auto& [name, moment] : optimiser_.state()) tensors["optimiser." + name] = moment;
  const std::vector<double> losses(losses_.begin(), losses_.end());
  tensors["losses"] = at::tensor(losses, at::kDouble);
  models::save_tensors(file, tensors, {{"step", std::to_string(steps_done())}});
}

void Trainer::load(const std::filesystem::path& file) {
  const c10::NoGradGuard no_grad;
  const SafetensorsFile header(file);
  const models::TensorMap tensors = models::load_tensors(file);
  const auto copy = [&](const std::string& name, at::Tensor& slot) {
    const auto found = tensors.find("network." + name);
    if (found == tensors.end() || found->second.sizes() != slot.sizes())
      throw Error(ErrorKind::kData,
                  fmt::format("checkpoint {} has no tensor '{}' of the network's shape",
                              file.string(), name),
                  {{"file", file.string()}, {"tensor", name}});
    slot.copy_(found->second);
  };
  for (const auto& [name, slot] : network_.parameters().slots()) copy(name, *slot);
  for (const auto& [name, slot] : network_.buffers().slots()) copy(name, *slot);
  std::map<std::string, at::Tensor> moments;
  for (const auto& [name, tensor] : tensors)
    if (name.rfind("optimiser.", 0) == 0) moments[name.substr(10)] = tensor;
  const auto step = header.metadata().find("step");
  const auto losses = tensors.find("losses");
  if (step == header.metadata().end() || losses == tensors.end())
    throw Error(ErrorKind::kData, fmt::format("{} is not a training checkpoint", file.string()));
  optimiser_.restore(moments, std::stoll(step->second));
  losses_.clear();
  for (std::int64_t i = 0; i < losses->second.numel(); ++i)
    losses_.push_back(losses->second[i].item<double>());
}

void train_to_the_end(Trainer& trainer, StageContext& context, double checkpoint_s) {
  const std::filesystem::path file = context.resume_dir() / "training.safetensors";
  if (std::filesystem::exists(file)) trainer.load(file);
  using Clock = std::chrono::steady_clock;
  const auto period = std::chrono::duration<double>(checkpoint_s);
  auto saved = Clock::now();
  while (trainer.steps_done() < trainer.total_steps()) {
    const double loss = trainer.step();
    const std::int64_t done = trainer.steps_done();
    context.progress(done, trainer.total_steps(), "steps");
    if (done == 1 || done % 50 == 0 || done == trainer.total_steps())
      context.metric("loss", loss, done);
    const bool stop = context.stop_requested() && done < trainer.total_steps();
    if (stop || Clock::now() - saved >= period) {
      trainer.save(file);
      context.checkpoint(done);
      saved = Clock::now();
    }
    if (stop)
      throw Error(ErrorKind::kLost, fmt::format("training stopped at step {} of {}, with a "
                                                "checkpoint",
                                                done, trainer.total_steps()));
  }
}

}  // namespace assay::train
