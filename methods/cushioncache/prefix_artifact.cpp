#include "methods/cushioncache/prefix_artifact.h"

#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/json_members.h"
#include "methods/quant/quantized_model.h"

namespace assay::cushioncache {

Json json_of(const SearchState& state) {
  Json steps = Json::array();
  for (const SearchStep& step : state.steps) {
    steps.push_back({{"token", step.token}, {"before", step.before}, {"after", step.after}});
  }
  Json json = {{"steps", steps},
               {"finished", state.finished},
               {"tried", state.tried},
               {"best", state.best},
               {"error_before", state.error_before}};
  if (state.best >= 0) json["best_error"] = state.best_error;
  return json;
}

SearchState load_search(const std::filesystem::path& file) {
  const std::string where = file.string();
  const Json json = parse_json(read_file(file), where);
  SearchState state;
  for (const Json& step : list_member(json, "steps", where)) {
    state.steps.push_back({integer_member(step, "token", where),
                           number_member(step, "before", where),
                           number_member(step, "after", where)});
  }
  state.finished = flag_member(json, "finished", where);
  state.tried = integer_member(json, "tried", where);
  state.best = integer_member(json, "best", where);
  state.error_before = number_member(json, "error_before", where);
  if (state.best >= 0) state.best_error = number_member(json, "best_error", where);
  return state;
}

Json publish(StageContext& context, const quant::MethodNetwork& loaded, models::Prefix prefix,
             const SearchState& search) {
  const quant::QuantizedModel model{.method = "cushioncache", .prefix = std::move(prefix)};
  save_quantized(context.output(), model);
  write_file_atomically(context.output() / kSearch, json_of(search).dump(1) + "\n");
  Json result = quantization_result(*loaded.network, loaded.before, model);
  result["metrics"]["prefix_tokens"] = model.prefix.length();
  return result;
}

}  // namespace assay::cushioncache
