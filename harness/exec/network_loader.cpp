#include "harness/exec/network_loader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>

#include "harness/core/checkpoint_layout.h"
#include "harness/core/digest.h"
#include "harness/core/error.h"
#include "harness/core/stage_files.h"
#include "harness/models/precision.h"
#include "methods/quant/quantized_model.h"

namespace assay::exec {
namespace {

namespace fs = std::filesystem;

// The keyed member `model` of the recipe: {"family", "config" or "files"}.
const Json& model_of(const StageContext& context) {
  const auto found = context.recipe().find("model");
  if (found == context.recipe().end() || !found->is_object() || !found->contains("family"))
    throw Error(ErrorKind::kConfig, "the stage's recipe names no model");
  return *found;
}

std::unique_ptr<models::Network> base_network(const StageContext& context) {
  const Json& model = model_of(context);
  const std::string family = model.at("family");
  const FileSet files = model_files(context);
  if (files.empty())
    throw Error(ErrorKind::kUnsupported,
                fmt::format("this '{}' model has no weights: train it first, save the trained "
                            "network and name that folder as `weights:`",
                            family),
                {{"family", family}});
  return models::load_network(files, family);
}

// The artifact that replaces or overlays the model, or nothing.
fs::path network_artifact(const StageContext& context) {
  return context.has_input("network") ? context.input("network") : fs::path();
}

bool is_overlay(const fs::path& artifact) { return fs::exists(artifact / "quantization.json"); }

std::unique_ptr<models::Network> network_under(const StageContext& context,
                                               const fs::path& artifact) {
  std::unique_ptr<models::Network> network;
  if (artifact.empty() || is_overlay(artifact)) {
    network = base_network(context);
  } else if (fs::exists(artifact / "config.json")) {
    network = models::load_network(checkpoint_on_disk(artifact), model_of(context).at("family"));
  } else {
    throw Error(ErrorKind::kData,
                fmt::format("{} is neither a checkpoint folder (config.json) nor a quantized model "
                            "(quantization.json)",
                            artifact.string()),
                {{"path", artifact.string()}});
  }
  network->to(models::precision_of(context.recipe()));
  return network;
}

}  // namespace

StageNetwork load_stage_network(const StageContext& context) {
  const fs::path artifact = network_artifact(context);
  StageNetwork result{network_under(context, artifact), std::make_unique<models::Untapped>()};
  if (!artifact.empty() && is_overlay(artifact))
    result.tap = quant::apply_quantized(*result.network, artifact);
  return result;
}

std::shared_ptr<const StageNetwork> resident_stage_network(StageContext& context) {
  const Json identity = {{"model", model_of(context)},
                         {"network", network_artifact(context).string()},
                         {"numerics", context.recipe().value("numerics", Json::object())}};
  const std::shared_ptr<void> value =
      context.resident("network:" + sha256(identity.dump()), [&]() -> std::shared_ptr<void> {
        return std::make_shared<StageNetwork>(load_stage_network(context));
      });
  return std::static_pointer_cast<const StageNetwork>(value);
}

std::unique_ptr<models::Network> load_method_network(const StageContext& context) {
  const fs::path artifact = network_artifact(context);
  std::unique_ptr<models::Network> network = network_under(context, artifact);
  if (artifact.empty() || !is_overlay(artifact)) return network;
  const quant::QuantizedModel model = quant::load_quantized(artifact);
  if (!model.activations.empty())
    throw Error(
        ErrorKind::kUnsupported,
        fmt::format("'{}' quantized activations: no method can follow it with '+'", model.method),
        {{"method", model.method}});
  quant::apply(model, *network);
  return network;
}

}  // namespace assay::exec
