#include "methods/prefixquant/method.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/contract/declared_options.h"
#include "harness/contract/stage_result.h"
#include "harness/models/generation.h"
#include "methods/prefixquant/outliers.h"
#include "methods/quant/quantized_model.h"
#include "methods/quant/stage_inputs.h"

namespace assay::prefixquant {
namespace {

constexpr std::int64_t kLongest = 16;

// Of prefixquant.prefix.
struct Options {
  double threshold = 64;
  std::int64_t bos = -1;
  std::int64_t max_prefix = kLongest;

  void visit(OptionVisitor& option) {
    option(threshold,
           {.name = "threshold",
            .minimum = 1,
            .doc = "A token is an outlier if its largest activation is so many times the "
                   "median of the text's tokens."});
    option(bos, {.name = "bos",
                 .minimum = -1,
                 .doc = "Id of the token that ends the prefix; -1 takes bos_token_id of the "
                        "checkpoint's config.json."});
    option(max_prefix, {.name = "max_prefix",
                        .unit = "tokens",
                        .minimum = 1,
                        .maximum = 1024,
                        .doc = "The longest prefix: the most frequent outliers stay."});
  }
};

std::int64_t bos_of(const models::Network& network, const Options& options) {
  std::int64_t bos = options.bos;
  if (bos < 0) {
    const Json given = network.configuration().value("bos_token_id", Json());
    if (!given.is_number_integer()) {
      throw Error(ErrorKind::kUnsupported,
                  "the prefix ends with the beginning-of-text token, and config.json has no "
                  "bos_token_id: name an id, prefixquant.bos",
                  {{"parameter", "bos"}});
    }
    bos = given.get<std::int64_t>();
  }
  if (bos >= 0 && bos < network.info().outputs) return bos;
  throw Error(ErrorKind::kConfig,
              fmt::format("bos: {} is no id of the network's vocabulary of {}", bos,
                          network.info().outputs),
              {{"parameter", "bos"}, {"value", std::to_string(bos)}});
}

Json find(StageContext& context, const quant::ModelLoader& loader) {
  const at::NoGradGuard no_gradients;
  const auto options = options_from<Options>(context);
  const quant::MethodNetwork loaded = loader(context);
  models::Network& network = *loaded.network;
  quant::widen(network);
  const std::int64_t bos = bos_of(network, options);
  const Outliers outliers =
      find_outliers(network, quant::calibration_inputs(context, network), options.threshold,
                    [&](std::int64_t done, std::int64_t total) {
                      context.progress(done, total, "texts");
                      quant::require_running(context);
                    });
  std::vector<std::int64_t> tokens = prefix_tokens(outliers, bos);
  const auto longest = static_cast<std::size_t>(options.max_prefix);
  if (tokens.size() > longest) {
    tokens.erase(tokens.begin() + options.max_prefix - 1, tokens.end() - 1);
  }
  const at::Tensor prompt = at::tensor(tokens, at::kLong).to(quant::device_of(network));
  const quant::QuantizedModel model{.method = "prefixquant",
                                    .prefix = models::prefix_of(network, prompt)};
  save_quantized(context.output(), model);
  Json result = quantization_result(network, loaded.before, model);
  result["metrics"]["outliers_per_text"] =
      *std::max_element(outliers.per_text.begin(), outliers.per_text.end());
  add_note(result, fmt::format("prefix of the tokens {}", fmt::join(tokens, ", ")));
  return result;
}

void check(const PlannedStage& stage) {
  bos_of(stage.network, options_from<Options>(stage.context));
  require_prefix_fits(stage, "prefixquant");
}

Rounding prefixes(const StageContext& context) {
  return {.prefix = options_from<Options>(context).max_prefix};
}

}  // namespace
}  // namespace assay::prefixquant

namespace assay {

Method prefixquant_method() {
  using namespace prefixquant;
  std::vector<ParameterSchema> parameters = schemas_of<Options>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(64);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {.declaration = {.name = "prefixquant",
                          .title = "PrefixQuant: outlier tokens as a prefix, without fine-tuning",
                          .paper = "Chen et al. 2024, arXiv 2410.05265",
                          .families = {"opt", "llama"},
                          .parameters = std::move(parameters),
                          .calibration = "calibration",
                          .traits = {"quantizer"},
                          .network = "prefixquant.prefix",
                          .values = quant::network_values_with_prefix()},
          .stages = {{.declaration = {.name = "prefixquant.prefix",
                                      .revision = 1,
                                      .reads = names_of<Options>(),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = quant::calibration_data()},
                      .run = find,
                      .check = check,
                      .rounds = prefixes}},
          .canary = canary};
}

}  // namespace assay
