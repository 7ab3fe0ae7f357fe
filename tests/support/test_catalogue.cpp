#include "tests/support/test_catalogue.h"

namespace assay::testing {
namespace {

ParameterSchema integer(const char* name, std::int64_t value, double minimum) {
  return {.name = name,
          .type = ParameterType::kInteger,
          .default_value = value,
          .minimum = minimum,
          .doc = "An integer."};
}

ParameterSchema real(const char* name, double value) {
  return {.name = name,
          .type = ParameterType::kReal,
          .default_value = value,
          .minimum = 0,
          .doc = "A number."};
}

ParameterSchema flag(const char* name) {
  return {.name = name, .type = ParameterType::kBool, .default_value = true, .doc = "A switch."};
}

ParameterSchema choice(const char* name, std::vector<std::string> choices) {
  return {.name = name,
          .type = ParameterType::kString,
          .default_value = choices.front(),
          .choices = std::move(choices),
          .doc = "A choice."};
}

std::vector<StageDeclaration> stages() {
  return {
      {.name = "tokenize", .reads_tokenizer = true, .reads_data = true, .exact = true},
      {.name = "sample",
       .reads = {"calibration"},
       .inputs = {{.name = "tokens", .stage = "tokenize"}},
       .random = "calibration_seed",
       .exact = true},
      {.name = "rtn.quantize",
       .reads = {"range", "w_bits", "a_bits"},
       .reads_model = true,
       .reads_network = true,
       .retention = Retention::kTemporary},
      {.name = "gptq.quantize",
       .revision = 2,
       .reads = {"group", "damping", "w_bits", "a_bits"},
       .reads_model = true,
       .reads_network = true,
       .inputs = {{.name = "samples", .stage = "sample", .split = "train"},
                  {.name = "ranges",
                   .stage = "sample",
                   .split = "train",
                   .when = "quantizes_activations"}},
       .resources = {.threads = 1, .memory_bytes = 1 << 20}},
      {.name = "ranged.observe",
       .reads = {"a_bits"},
       .reads_model = true,
       .inputs = {{.name = "samples", .stage = "sample", .split = "train"}}},
      {.name = "ranged.quantize",
       .reads = {"w_bits", "a_bits"},
       .reads_model = true,
       .inputs = {{.name = "ranges",
                   .stage = "ranged.observe",
                   .when = "quantizes_activations,act=fixed"}}},
      {.name = "smoothquant.smooth",
       .reads = {"alpha"},
       .reads_model = true,
       .inputs = {{.name = "samples", .stage = "sample", .split = "train"}}},
      {.name = "psaq_vit.synthesize",
       .reads = {"images", "steps"},
       .reads_model = true,
       .random = "seed"},
      {.name = "psaq_vit.quantize",
       .reads = {"w_bits", "a_bits"},
       .reads_model = true,
       .inputs = {{.name = "images", .stage = "psaq_vit.synthesize"}}},
      {.name = "genie.distill", .reads = {"swing"}, .reads_model = true, .random = "seed"},
      {.name = "genie.quantize",
       .reads = {"learned_scale", "qdrop", "w_bits", "a_bits"},
       .reads_model = true,
       .inputs = {{.name = "images", .stage = "genie.distill"}},
       .random = "seed"},
      {.name = "train.fit",
       .reads = {"epochs", "schedule"},
       .reads_model = true,
       .reads_data = true,
       .random = "seed"},
      {.name = "train.report", .inputs = {{.name = "fit", .stage = "train.fit"}}, .exact = true},
      {.name = "top1.evaluate",
       .reads = {"batch", "limit"},
       .reads_model = true,
       .reads_data = true,
       .reads_network = true},
      {.name = "top1.merge", .reads = {"limit"}, .exact = true},
      {.name = "perplexity.evaluate",
       .reads = {"context", "limit"},
       .reads_model = true,
       .reads_network = true,
       .inputs = {{.name = "tokens", .stage = "tokenize"}}},
      {.name = "latency.time",
       .reads = {"batch"},
       .reads_model = true,
       .reads_network = true,
       .cache = CachePolicy::kRun,
       .exclusive = true},
      {.name = "dream.evaluate", .reads_model = true, .reads_network = true, .random = "seed"},
  };
}

std::vector<MethodDeclaration> methods() {
  return {
      {.name = "float",
       .title = "The network as it is",
       .calibration = "none",
       .traits = {"deterministic", "float"}},
      {.name = "rtn",
       .title = "Round to nearest",
       .parameters = {choice("range", {"minmax", "percentile", "mse"})},
       .reads_bits = true,
       .calibration = "none",
       .traits = {"deterministic", "quantizer"},
       .network = "rtn.quantize"},
      {.name = "gptq",
       .title = "GPTQ",
       .families = {"opt"},
       .parameters = {integer("group", -1, -1), integer("calibration", 128, 1),
                      real("damping", 0.01)},
       .reads_bits = true,
       .calibration = "calibration",
       .traits = {"quantizer"},
       .network = "gptq.quantize"},
      {.name = "ranged",
       .title = "Calibrates activations only",
       .families = {"opt"},
       .parameters = {choice("act", {"fixed", "dynamic"}), integer("calibration", 128, 1)},
       .reads_bits = true,
       .calibration = "calibration",
       .traits = {"quantizer"},
       .network = "ranged.quantize"},
      {.name = "smoothquant",
       .title = "SmoothQuant",
       .families = {"opt"},
       .parameters = {real("alpha", 0.5), integer("calibration", 128, 1)},
       .calibration = "calibration",
       .network = "smoothquant.smooth"},
      {.name = "psaq_vit",
       .title = "PSAQ-ViT",
       .families = {"vit"},
       .parameters = {integer("images", 32, 1), integer("steps", 500, 1)},
       .reads_bits = true,
       .calibration = "none",
       .traits = {"quantizer"},
       .network = "psaq_vit.quantize"},
      {.name = "genie",
       .title = "GENIE",
       .families = {"resnet"},
       .parameters = {flag("swing"), flag("learned_scale"), flag("qdrop")},
       .reads_bits = true,
       .calibration = "none",
       .traits = {"quantizer"},
       .switches = {"swing", "learned_scale", "qdrop"},
       .network = "genie.quantize"},
      {.name = "train",
       .title = "Training",
       .families = {"vit", "resnet"},
       .parameters = {integer("epochs", 1, 1),
                      {.name = "schedule",
                       .type = ParameterType::kReals,
                       .default_value = Json::array({0.1}),
                       .minimum = 0,
                       .doc = "Learning rates."}},
       .calibration = "training",
       .traits = {"trains"},
       .network = "train.fit",
       .extra_stages = {"train.report"}},
  };
}

std::vector<MetricDeclaration> metrics() {
  return {
      {.name = "top1",
       .title = "Top-1 accuracy",
       .task = "classification",
       .parameters = {integer("batch", 64, 1), integer("limit", 0, 0), integer("shards", 2, 1)},
       .stage = "top1.evaluate",
       .merge = "top1.merge",
       .shards_parameter = "shards",
       .values = {{.name = "top1", .unit = "%", .primary = true}}},
      {.name = "perplexity",
       .title = "Perplexity",
       .task = "language",
       .parameters = {integer("context", 2048, 1), integer("limit", 0, 0)},
       .stage = "perplexity.evaluate",
       .values = {{.name = "perplexity", .higher_is_better = false, .primary = true}}},
      {.name = "latency",
       .title = "Latency",
       .parameters = {{.name = "batch",
                       .type = ParameterType::kIntegers,
                       .default_value = Json::array({1}),
                       .minimum = 1,
                       .doc = "Batch sizes."}},
       .stage = "latency.time",
       .values = {{.name = "latency", .unit = "ms", .higher_is_better = false}}},
      {.name = "dream", .title = "A random metric", .task = "language", .stage = "dream.evaluate"},
  };
}

std::vector<ReaderDeclaration> readers() {
  const auto novels = [](const char* split, const char* value) {
    return ParameterSchema{.name = split,
                           .type = ParameterType::kStrings,
                           .default_value = Json::array({value}),
                           .choices = {"emma", "sense", "persuasion"},
                           .doc = "Novels of this split."};
  };
  return {
      {.name = "fashion_mnist",
       .title = "Fashion-MNIST as in Debian's dataset-fashion-mnist",
       .task = "classification",
       .roots = {"$FASHION/data", "/usr/share/datasets/fashion-mnist"},
       .files = {{"train", {{"images", "train-images.gz"}, {"labels", "train-labels.gz"}}},
                 {"test", {{"images", "t10k-images.gz"}, {"labels", "t10k-labels.gz"}}}}},
      {.name = "idx",
       .title = "IDX files",
       .task = "classification",
       .roles = {"images", "labels"}},
      {.name = "text",
       .title = "Text files",
       .task = "language",
       .parameters = {choice("join", {"file", "lines"})}},
      {.name = "image_folder", .title = "Folders", .task = "classification", .folder = true},
      {.name = "austen",
       .title = "Novels",
       .task = "language",
       .parameters = {novels("train", "emma"), novels("test", "persuasion")},
       .roots = {"/usr/lib/austen"},
       .files = {{"train", {{"novels", "novels.rdb"}}}, {"test", {{"novels", "novels.rdb"}}}}},
  };
}

}  // namespace

Catalogue test_catalogue() {
  Catalogue catalogue;
  catalogue.provider = "assay";
  catalogue.version = "0.1.0";
  catalogue.numerics = {{"libtorch", "2.15"}};
  catalogue.stages = stages();
  catalogue.methods = methods();
  catalogue.metrics = metrics();
  catalogue.families = {{.name = "vit", .task = "classification", .model_types = {"vit"}},
                        {.name = "resnet",
                         .task = "classification",
                         .configuration = {integer("depth", 20, 1),
                                           {.name = "classes",
                                            .type = ParameterType::kInteger,
                                            .minimum = 1,
                                            .doc = "Number of classes."}}},
                        {.name = "opt", .task = "language", .model_types = {"opt"}}};
  catalogue.readers = readers();
  return catalogue;
}

}  // namespace assay::testing
