#include "harness/evaluate/latency.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "harness/contract/stage_recipe.h"
#include "harness/contract/stage_result.h"
#include "harness/evaluate/evaluation_stage.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/metric.h"
#include "harness/evaluate/network_traits.h"
#include "harness/evaluate/other_load.h"
#include "harness/formats/philox.h"
#include "harness/models/random_tensor.h"

namespace assay::evaluate {
namespace {

constexpr int kRevision = 3;   // of what is timed
constexpr std::size_t kInterval = 6;  // passes whose least and greatest bound 95 % of medians
constexpr double kBusy = 0.2;  // processors of others that are worth a note

struct Options : LatencyProtocol {
  std::vector<std::int64_t> batch = {1, 64};
  std::int64_t tokens = 128;

  void visit(OptionVisitor& option) {
    option(batch, {.name = "batch",
                   .minimum = 1,
                   .maximum = 65536,
                   .doc = "Batch sizes; latency is of the first, throughput of the last."});
    option(tokens, {.name = "tokens",
                    .unit = "tokens",
                    .minimum = 1,
                    .doc = "Length of a sequence, for language."});
    option(repetitions,
           {.name = "repetitions", .minimum = 5, .doc = "Timed passes for each batch size."});
    option(warmup_s, {.name = "warmup_s",
                      .unit = "s",
                      .minimum = 0,
                      .maximum = 3600,
                      .doc = "The most that warming up takes."});
    option(max_s, {.name = "max_s",
                   .unit = "s",
                   .minimum = 0,
                   .maximum = 3600,
                   .doc = "The most that timing a batch size takes."});
  }
};

Options options_of(const StageContext& context) {
  auto options = options_from<Options>(context);
  if (options.batch.empty()) {
    throw Error(ErrorKind::kConfig, "batch: []; legal: one or more integers from 1 to 65536",
                {{"field", "batch"}, {"value", "[]"}});
  }
  return options;
}

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
  if (latency.seconds.size() >= kInterval) {
    add("latency_low_ms", latency.low_s * 1e3);
    add("latency_high_ms", latency.high_s * 1e3);
  } else {
    add_note(result, fmt::format("latency: {} repetitions bound no 95 % interval of a median",
                                 latency.seconds.size()));
  }
  add("throughput", static_cast<double>(batch) / latency.median_s);
  add("repetitions", static_cast<double>(latency.seconds.size()));
  add("warmup_runs", static_cast<double>(latency.warmup_runs));
  add("settled", latency.stable ? 1 : 0);
}

// The run keeps its own stages away; of other programs, other runs among them, it can only tell.
void note_others(Json& result, const OtherLoad& others) {
  const std::optional<double> processors = others.processors();
  if (!processors) return;
  add_metric(result, "other_processors", *processors);
  if (*processors < kBusy) return;
  add_note(result, "other programs used processors of the host while latency was measured");
}

Json measure(StageContext& context, const NetworkLoaders& load) {
  const Options options = options_of(context);
  const LoadedNetwork loaded = load.trial(context);
  require_length(loaded.network->info(), options.tokens);
  const c10::InferenceMode inference;
  const Progress progress = progress_of(context, "batch sizes");
  models::TensorMap samples;
  Json result = {{"metrics", Json::object()}};
  std::int64_t done = 0;
  const OtherLoad others;
  const models::WeightHold held = loaded.network->hold_all();  // making them is no part of a pass
  for (const std::int64_t batch : options.batch) {
    const at::Tensor input = input_of(*loaded.network, batch, options.tokens);
    const Latency latency = measure_latency([&] { loaded.network->forward(input, *loaded.tap); },
                                            options, steady_seconds);
    samples[fmt::format("seconds.b{}", batch)] = at::tensor(latency.seconds, at::kDouble);
    add_batch(result, batch, latency);
    progress(++done, static_cast<std::int64_t>(options.batch.size()));
  }
  note_others(result, others);
  models::save_tensors(context.output() / kSamplesFile, samples);
  Json& metrics = result["metrics"];
  for (const char* name : {"latency_ms", "latency_p10_ms", "latency_p90_ms"}) {
    metrics[name] = metrics.at(fmt::format("{}.b{}", name, options.batch.front()));
  }
  metrics["throughput"] = metrics.at(fmt::format("throughput.b{}", options.batch.back()));
  result["fingerprint"] = {
      {"metric", "latency"},
      {"revision", kRevision},
      {"timed", "forward pass, fake-quantized where the method quantizes"},
      // Fake-quantized weights and activations are numbers of this precision:
      // no method is made faster here by the bits that it saves.
      {"pass", fmt::format("fake-quantized {}", enum_name(numerics_of(context).precision))},
      {"batch", options.batch},
      {"threads", at::get_num_threads()}};
  if (loaded.network->info().task == models::Task::kLanguage) {
    result["fingerprint"]["tokens"] = options.tokens;
  }
  add_numerics(context, *loaded.network, result["fingerprint"]);
  return result;
}

void check(const PlannedMeasurement& planned, Findings& findings) {
  std::optional<Options> options;
  findings.attempt("metric", [&] { options = options_of(planned.context); });
  if (!options || planned.network == nullptr) return;
  findings.attempt("metric", [&] { require_length(*planned.network, options->tokens); });
}

}  // namespace

Metric latency_metric() {
  return {
      .declarations =
          {{.name = "latency",
            .title = "Time of a forward pass, beside no other stage of the run",
            .task = "",
            .parameters = schemas_of<Options>(),
            .stage = "measure.latency",
            .values =
                {{.name = "latency_ms", .unit = "ms", .higher_is_better = false, .primary = true},
                 {.name = "latency_p10_ms", .unit = "ms", .higher_is_better = false},
                 {.name = "latency_p90_ms", .unit = "ms", .higher_is_better = false},
                 {.name = "throughput", .unit = "samples/s", .primary = true}}}},
      .stages = {{{.name = "measure.latency",
                   .revision = kRevision,
                   .reads = names_of<Options>(),
                   .reads_model = true,
                   .reads_network = true,
                   .cache = CachePolicy::kRun,
                   .exclusive = true},
                  measure,
                  check}}};
}

}  // namespace assay::evaluate
