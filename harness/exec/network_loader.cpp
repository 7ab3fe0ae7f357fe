#include "harness/exec/network_loader.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "harness/contract/network_chain.h"
#include "harness/contract/stage_files.h"
#include "harness/contract/stage_recipe.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/precision.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/tap_sequence.h"

namespace assay::exec {
namespace {

namespace fs = std::filesystem;

std::string family_of(const StageContext& context) {
  std::string family = model_of(context).family;
  if (family.empty()) throw Error(ErrorKind::kConfig, "the stage's recipe names no model");
  return family;
}

std::unique_ptr<models::Network> base_network(const StageContext& context) {
  const std::string family = family_of(context);
  const FileSet files = model_files(context);
  if (files.empty())
    throw Error(ErrorKind::kUnsupported,
                fmt::format("this '{}' model has no weights: train it first, save the trained "
                            "network and name that folder as `weights:`",
                            family),
                {{"family", family}});
  return models::load_network(files, family);
}

bool is_overlay(const fs::path& artifact) { return fs::exists(artifact / "quantization.json"); }

std::unique_ptr<models::Network> checkpoint_network(const StageContext& context,
                                                    const fs::path& artifact) {
  if (fs::exists(artifact / "config.json"))
    return models::load_network(checkpoint_on_disk(artifact), family_of(context));
  throw Error(ErrorKind::kData,
              fmt::format("{} is neither a checkpoint folder (config.json) nor a quantized model "
                          "(quantization.json)",
                          artifact.string()),
              {{"path", artifact.string()}});
}

// The newest whole checkpoint of the chain, or the model as it is; `first` becomes the number of
// artifacts that it holds already.
std::unique_ptr<models::Network> whole_network(const StageContext& context,
                                               const std::vector<fs::path>& chain,
                                               std::size_t& first) {
  first = chain.size();
  while (first > 0 && is_overlay(chain[first - 1])) --first;
  std::unique_ptr<models::Network> network =
      first > 0 ? checkpoint_network(context, chain[first - 1]) : base_network(context);
  network->to(models::precision_of(numerics_of(context)));
  return network;
}

// The model of the recipe with the artifacts of `chain`.
quant::MethodNetwork network_with(const StageContext& context, const std::vector<fs::path>& chain) {
  std::size_t first = 0;
  quant::MethodNetwork result(whole_network(context, chain, first));
  std::vector<std::shared_ptr<models::Tap>> taps;
  for (std::size_t i = 0; i < chain.size(); ++i) {
    if (!is_overlay(chain[i])) continue;
    quant::QuantizedModel model = quant::load_quantized(chain[i]);
    // A checkpoint made later holds the weights that this one rounded; activations are no part of
    // a checkpoint.
    if (i < first) {
      model.layers.clear();
      model.channel_scales.clear();
      model.parameters.clear();
    }
    const std::shared_ptr<models::Tap> tap = quant::apply(model, *result.network);
    if (!tap->passive()) taps.push_back(tap);
    result.before.add(model);
  }
  if (taps.size() == 1) result.tap = taps.front();
  if (taps.size() > 1) result.tap = std::make_shared<quant::TapSequence>(std::move(taps));
  return result;
}

std::shared_ptr<const quant::MethodNetwork> resident_with(StageContext& context,
                                                          const std::vector<fs::path>& chain) {
  Json publications = Json::array();
  for (const fs::path& artifact : chain) publications.push_back(publication_of(artifact));
  const Json identity = {{"model", context.recipe().value("model", Json())},
                         {"chain", std::move(publications)},
                         {"numerics", context.recipe().value("numerics", Json::object())}};
  const std::shared_ptr<void> value =
      context.resident("network:" + sha256(identity.dump()), [&]() -> std::shared_ptr<void> {
        return std::make_shared<quant::MethodNetwork>(network_with(context, chain));
      });
  return std::static_pointer_cast<const quant::MethodNetwork>(value);
}

}  // namespace

quant::MethodNetwork load_method_network(const StageContext& context) {
  return network_with(context, network_chain(context));
}

std::shared_ptr<const quant::MethodNetwork> resident_stage_network(StageContext& context) {
  return resident_with(context, network_chain(context));
}

std::shared_ptr<const quant::MethodNetwork> resident_float_model(StageContext& context) {
  return resident_with(context, {});
}

void limit_kept_weights() {
  const char* text = std::getenv("ASSAY_KEPT_WEIGHTS_MB");
  if (text == nullptr || *text == '\0') return;
  constexpr std::int64_t kMost = 1'000'000'000;
  const std::string_view digits = text;
  std::int64_t megabytes = -1;
  const auto [end, failure] =
      std::from_chars(digits.data(), digits.data() + digits.size(), megabytes);
  if (failure != std::errc() || end != digits.data() + digits.size() || megabytes < 0 ||
      megabytes > kMost) {
    throw Error(ErrorKind::kConfig,
                fmt::format("ASSAY_KEPT_WEIGHTS_MB='{}'; legal: whole megabytes from 0 to {}; "
                            "unset it for 512",
                            text, kMost));
  }
  models::limit_kept_weights(megabytes * 1'000'000);
}

}  // namespace assay::exec
