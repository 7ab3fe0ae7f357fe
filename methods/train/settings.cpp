#include "methods/train/settings.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <string>

#include "harness/core/error.h"

namespace assay::train {
namespace {

ParameterSchema number(const char* name, ParameterType type, Json fallback, double minimum,
                       double maximum, const char* unit, const char* doc) {
  ParameterSchema schema;
  schema.name = name;
  schema.type = type;
  schema.default_value = std::move(fallback);
  schema.unit = unit;
  schema.minimum = minimum;
  schema.maximum = maximum;
  schema.doc = doc;
  return schema;
}

ParameterSchema flag(const char* name, bool fallback, const char* doc) {
  ParameterSchema schema;
  schema.name = name;
  schema.type = ParameterType::kBool;
  schema.default_value = fallback;
  schema.doc = doc;
  return schema;
}

}  // namespace

std::vector<ParameterSchema> parameter_schemas() {
  constexpr auto kInteger = ParameterType::kInteger;
  constexpr auto kReal = ParameterType::kReal;
  const Settings defaults;
  std::vector<ParameterSchema> schemas{
      number("steps", kInteger, defaults.steps, 0, 1e9, "steps",
             "Updates to make; 0: as many as `epochs` says."),
      number("epochs", kReal, defaults.epochs, 0, 1e6, "epochs",
             "Passes over the training data, where `steps` is 0."),
      number("batch", kInteger, defaults.batch, 1, 1 << 20, "samples",
             "Images or text windows of one update."),
      number("lr", kReal, defaults.lr, 0, 10, "", "Learning rate after the warm-up."),
      number("final_lr", kReal, defaults.final_lr, 0, 10, "",
             "Learning rate at the end of the cosine."),
      number("warmup", kReal, defaults.warmup, 0, 1, "",
             "Part of all steps over which the learning rate rises."),
      number("weight_decay", kReal, defaults.optimiser.weight_decay, 0, 10, "",
             "Decoupled decay of parameters with two or more dimensions."),
      number("beta1", kReal, defaults.optimiser.beta1, 0, 0.99999999, "",
             "Decay of the first moment."),
      number("beta2", kReal, defaults.optimiser.beta2, 0, 0.99999999, "",
             "Decay of the second moment."),
      number("epsilon", kReal, defaults.optimiser.epsilon, 1e-16, 1, "",
             "Added to the root of the second moment."),
      number("clip", kReal, defaults.clip, 0, 1e9, "",
             "Largest joint norm of all gradients; 0: no limit."),
      number("smoothing", kReal, defaults.smoothing, 0, 0.999, "",
             "Label smoothing of the cross-entropy."),
      number("crop", kInteger, defaults.crop, 0, 256, "pixels",
             "Zero padding around an image before a random crop to its size."),
      flag("flip", defaults.flip, "Mirror half of the images left to right."),
      number("window", kInteger, defaults.window, 0, 1 << 20, "tokens",
             "Length of a text window; 0: the network's context."),
  };
  const std::map<std::string, std::string> conditions{{"epochs", "steps=0"},
                                                      {"crop", "task:classification"},
                                                      {"flip", "task:classification"},
                                                      {"window", "task:language"}};
  for (ParameterSchema& schema : schemas) {
    if (const auto found = conditions.find(schema.name); found != conditions.end()) {
      schema.when = found->second;
    }
  }
  return schemas;
}

Settings settings_from(const Json& parameters) {
  // The recipe may carry what other stages of the trial read; only ours is checked.
  Json own = Json::object();
  for (const ParameterSchema& schema : parameter_schemas())
    if (parameters.contains(schema.name)) own[schema.name] = parameters.at(schema.name);
  const Json checked = checked_parameters(parameter_schemas(), own, "train");
  Settings s;
  s.steps = checked.at("steps");
  s.epochs = checked.at("epochs");
  s.batch = checked.at("batch");
  s.lr = checked.at("lr");
  s.final_lr = checked.at("final_lr");
  s.warmup = checked.at("warmup");
  s.optimiser = {checked.at("beta1"), checked.at("beta2"), checked.at("epsilon"),
                 checked.at("weight_decay")};
  s.clip = checked.at("clip");
  s.smoothing = checked.at("smoothing");
  s.crop = checked.at("crop");
  s.flip = checked.at("flip");
  s.window = checked.at("window");
  return s;
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
