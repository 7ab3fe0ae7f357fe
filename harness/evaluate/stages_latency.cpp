#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "harness/core/philox.h"
#include "harness/core/stage_result.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/latency.h"
#include "harness/evaluate/network_traits.h"
#include "harness/evaluate/other_load.h"
#include "harness/evaluate/stage_recipe.h"
#include "harness/evaluate/stages.h"
#include "harness/models/random_tensor.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 3;  // of what is timed
constexpr double kBusy = 0.2;  // processors of others that are worth a note

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Values do not change how long a forward pass takes, as long as they are ordinary.
at::Tensor input_of(const models::Network& network, std::int64_t batch, std::int64_t tokens) {
  const models::NetworkInfo& info = network.info();
  const NetworkTraits traits = traits_of(network);
  if (info.task == models::Task::kLanguage) {
    return at::arange(batch * tokens)
        .remainder(info.outputs)
        .view({batch, tokens})
        .to(at::kLong)
        .to(traits.device);
  }
  std::vector<std::int64_t> shape = {batch};
  shape.insert(shape.end(), info.input.begin(), info.input.end());
  Philox random(0, "latency");
  return models::normal_tensor(random, shape, 0, 1).to(traits.dtype).to(traits.device);
}

void add_batch(Json& result, std::int64_t batch, const Latency& latency) {
  const auto add = [&](const char* name, double value) {
    add_metric(result, fmt::format("{}.b{}", name, batch), value);
  };
  add("latency_ms", latency.median_s * 1e3);
  add("latency_p10_ms", latency.p10_s * 1e3);
  add("latency_p90_ms", latency.p90_s * 1e3);
  add("latency_low_ms", latency.low_s * 1e3);
  add("latency_high_ms", latency.high_s * 1e3);
  add("throughput", static_cast<double>(batch) / latency.median_s);
  add("repetitions", static_cast<double>(latency.seconds.size()));
  add("warmup_runs", static_cast<double>(latency.warmup_runs));
  add("settled", latency.stable ? 1 : 0);
}

// A pass whose weights and activations are rounded to a grid is still one of this precision: no
// method is made faster here by the bits that it saves.
std::string precision_of(const StageContext& context) {
  const Json numerics = context.recipe().value("numerics", Json::object());
  const Json precision = numerics.is_object() ? numerics.value("precision", Json()) : Json();
  return precision.is_string() ? precision.get<std::string>() : "float32";
}

// The run keeps its own stages away; of other programs, other runs among them, it can only tell.
void note_others(Json& result, const OtherLoad& others) {
  const std::optional<double> processors = others.processors();
  if (!processors) return;
  add_metric(result, "other_processors", *processors);
  if (*processors < kBusy) return;
  add_note(result, "other programs used processors of the host while latency was measured");
}

Json measure(StageContext& context, const NetworkLoader& load) {
  const StageParameters parameters(context);
  const LoadedNetwork loaded = load(context);
  const std::vector<std::int64_t> batches = batch_sizes(context);
  const std::int64_t tokens = parameters.integer("tokens");
  require_length(loaded.network->info(), tokens);
  const LatencyProtocol protocol = {.repetitions = parameters.integer("repetitions"),
                                    .warmup_s = parameters.real("warmup_s"),
                                    .max_s = parameters.real("max_s")};
  const c10::InferenceMode inference;
  const Progress progress = progress_of(context, "batch sizes");
  models::TensorMap samples;
  Json result = {{"metrics", Json::object()}};
  std::int64_t done = 0;
  const OtherLoad others;
  for (const std::int64_t batch : batches) {
    const at::Tensor input = input_of(*loaded.network, batch, tokens);
    const Latency latency = measure_latency([&] { loaded.network->forward(input, *loaded.tap); },
                                            protocol, steady_seconds);
    samples[fmt::format("seconds.b{}", batch)] = at::tensor(latency.seconds, at::kDouble);
    add_batch(result, batch, latency);
    progress(++done, static_cast<std::int64_t>(batches.size()));
  }
  note_others(result, others);
  models::save_tensors(context.output() / kSamplesFile, samples);
  Json& metrics = result["metrics"];
  for (const char* name : {"latency_ms", "latency_p10_ms", "latency_p90_ms"}) {
    metrics[name] = metrics.at(fmt::format("{}.b{}", name, batches.front()));
  }
  metrics["throughput"] = metrics.at(fmt::format("throughput.b{}", batches.back()));
  result["fingerprint"] = {{"metric", "latency"},
                           {"revision", kRevision},
                           {"timed", "forward pass, fake-quantized where the method quantizes"},
                           {"pass", "fake-quantized " + precision_of(context)},
                           {"batch", batches},
                           {"threads", at::get_num_threads()}};
  if (loaded.network->info().task == models::Task::kLanguage) {
    result["fingerprint"]["tokens"] = tokens;
  }
  add_numerics(context, *loaded.network, result["fingerprint"]);
  return result;
}

}  // namespace

std::vector<StageImplementation> latency_stages(const NetworkLoader& load) {
  return {{{.name = "measure.latency",
            .revision = kRevision,
            .reads = {"batch", "tokens", "repetitions", "warmup_s", "max_s"},
            .reads_model = true,
            .reads_network = true,
            .cache = CachePolicy::kRun,
            .exclusive = true},
           [load](StageContext& context) { return measure(context, load); }}};
}

}  // namespace assay::evaluate
