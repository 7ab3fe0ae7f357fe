#include "datasets/preprocess.h"
#include "harness/evaluate/stages.h"
#include "harness/evaluate/windows.h"

namespace assay::evaluate {
namespace {

ParameterSchema count(const char* name, std::int64_t value, double minimum, const char* unit,
                      const char* doc) {
  return {.name = name,
          .type = ParameterType::kInteger,
          .default_value = value,
          .unit = unit,
          .minimum = minimum,
          .doc = doc};
}

ParameterSchema shards() {
  ParameterSchema schema = count(
      "shards", 8, 1, "", "Stages that share the work; the result is the same for any number.");
  schema.maximum = 4096;
  return schema;
}

MetricDeclaration accuracy(const char* name, std::vector<MetricValue> values) {
  return {.name = name,
          .title = "Accuracy of a classifier on a labelled split",
          .task = "classification",
          .parameters = {count("limit", 0, 0, "images",
                               "Number of images, evenly spread over the split; 0: all."),
                         count("chunk", 64, 1, "images", "Images computed together."),
                         {.name = "preprocess",
                          .type = ParameterType::kString,
                          .default_value = "auto",
                          .choices = datasets::preprocessing_names(),
                          .doc = "Resize and crop of an image folder, for its calibration images "
                                 "too; auto: the data entry's."},
                         shards()},
          .stage = "evaluate.classification",
          .merge = "merge.classification",
          .shards_parameter = "shards",
          .values = std::move(values)};
}

MetricDeclaration perplexity() {
  return {
      .name = "perplexity",
      .title = "Perplexity of a language model on the windows of a text",
      .task = "language",
      .parameters =
          {count("context", 0, 0, "tokens",
                 "Tokens of a window; 0 takes the model's own, at most 2048."),
           count("stride", 0, 0, "tokens",
                 "Tokens from one window to the next; if fewer than the context, only that many "
                 "are scored of each."),
           {.name = "bos",
            .type = ParameterType::kString,
            .default_value = "tokenizer",
            .choices = bos_rules(),
            .doc =
                "Beginning-of-text id as the tokenizer does it, before every window, once at the "
                "start of the text, or none."},
           {.name = "windows",
            .type = ParameterType::kString,
            .default_value = "stream",
            .choices = {"stream", "documents"},
            .doc = "Windows over the whole text, or none across documents."},
           count("limit", 0, 0, "windows", "The first windows only; 0 takes all."),
           count("chunk", 0, 0, "windows", "Windows computed together; 0 takes about 2048 tokens."),
           shards()},
      .stage = "evaluate.language",
      .merge = "merge.language",
      .shards_parameter = "shards",
      .values = {{.name = "perplexity", .unit = "", .higher_is_better = false, .primary = true},
                 {.name = "nll", .unit = "nats/token", .higher_is_better = false},
                 {.name = "word_perplexity", .unit = "", .higher_is_better = false},
                 {.name = "byte_perplexity", .unit = "", .higher_is_better = false},
                 {.name = "bits_per_byte", .unit = "bits/byte", .higher_is_better = false}}};
}

ParameterSchema seconds(const char* name, double value, const char* doc) {
  return {.name = name,
          .type = ParameterType::kReal,
          .default_value = value,
          .unit = "s",
          .minimum = 0,
          .maximum = 3600,
          .doc = doc};
}

MetricDeclaration latency() {
  return {
      .name = "latency",
      .title = "Time of a forward pass, beside no other stage of the run",
      .task = "",
      .parameters = {{.name = "batch",
                      .type = ParameterType::kIntegers,
                      .default_value = Json::array({1, 64}),
                      .minimum = 1,
                      .maximum = 65536,
                      .doc = "Batch sizes; latency is of the first, throughput of the last."},
                     count("tokens", 128, 1, "tokens", "Length of a sequence, for language."),
                     count("repetitions", 50, 5, "", "Timed passes for each batch size."),
                     seconds("warmup_s", 2, "The most that warming up takes."),
                     seconds("max_s", 30, "The most that timing a batch size takes.")},
      .stage = "measure.latency",
      .values = {{.name = "latency_ms", .unit = "ms", .higher_is_better = false, .primary = true},
                 {.name = "latency_p10_ms", .unit = "ms", .higher_is_better = false},
                 {.name = "latency_p90_ms", .unit = "ms", .higher_is_better = false},
                 {.name = "throughput", .unit = "samples/s", .primary = true}}};
}

}  // namespace

std::vector<MetricDeclaration> metrics() {
  const MetricValue top1 = {.name = "top1", .unit = "%", .primary = true};
  const MetricValue top5 = {.name = "top5", .unit = "%"};
  const MetricValue cross_entropy = {
      .name = "cross_entropy", .unit = "nats", .higher_is_better = false};
  MetricValue top5_first = top5;
  top5_first.primary = true;
  return {accuracy("top1", {top1, top5, cross_entropy}), accuracy("top5", {top5_first}),
          perplexity(), latency()};
}

}  // namespace assay::evaluate
