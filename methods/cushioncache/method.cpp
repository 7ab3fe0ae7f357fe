#include "methods/cushioncache/method.h"

#include <initializer_list>
#include <utility>

#include "harness/contract/stage_parameters.h"
#include "methods/cushioncache/parameters.h"
#include "methods/cushioncache/stages.h"
#include "methods/method.h"
#include "methods/quant/stage_inputs.h"

namespace assay::cushioncache {
namespace {

std::vector<InputDeclaration> inputs_of_prefix() {
  std::vector<InputDeclaration> inputs = quant::calibration_data("tune=true");
  inputs.push_back({.name = "search", .stage = "cushioncache.search"});
  return inputs;
}

// Options of a stage, and calibration parameters that it is checked by.
template <typename Options>
std::vector<std::string> names_with(std::initializer_list<const char*> more) {
  std::vector<std::string> names = names_of<Options>();
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

Rounding prefixes(const StageContext& context) {
  const StageParameters asked(context);
  return {.bits = {.activations = asked.bits("a_bits")}, .prefix = asked.integer("max_prefix")};
}

}  // namespace
}  // namespace assay::cushioncache

namespace assay {

Method cushioncache_method() {
  using namespace cushioncache;
  std::vector<ParameterSchema> parameters = schemas_of<Parameters>();
  const std::vector<ParameterSchema> calibration = quant::calibration_parameters(64);
  parameters.insert(parameters.end(), calibration.begin(), calibration.end());
  return {.declaration = {.name = "cushioncache",
                          .title = "CushionCache: a prefix that takes the outliers of activations",
                          .paper = "Son et al., EMNLP 2024, arXiv 2406.12016",
                          .families = {"opt", "llama"},
                          .parameters = std::move(parameters),
                          .reads_bits = true,
                          .calibration = "calibration",
                          .traits = {"quantizer"},
                          .switches = {"tune"},
                          .network = "cushioncache.prefix",
                          .values = quant::network_values_with_prefix()},
          .stages = {{.declaration = {.name = "cushioncache.search",
                                      .revision = 1,
                                      .reads = names_with<SearchParameters>({"context", "samples"}),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = quant::calibration_data()},
                      .run = search_prefix,
                      .check = check_search,
                      .rounds = prefixes},
                     {.declaration = {.name = "cushioncache.prefix",
                                      .revision = 2,
                                      .reads = names_with<TuneParameters>({"context"}),
                                      .reads_model = true,
                                      .reads_network = true,
                                      .inputs = inputs_of_prefix(),
                                      .random = "calibration_seed"},
                      .run = tune_prefix,
                      .check = check_tuning,
                      .rounds = prefixes}},
          .canary = canary};
}

}  // namespace assay
