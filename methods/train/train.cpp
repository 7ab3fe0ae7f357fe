#include "methods/train/train.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <filesystem>

#include "datasets/token_set.h"
#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/network_chain.h"
#include "harness/contract/stage_classes.h"
#include "harness/contract/stage_files.h"
#include "harness/contract/stage_parameters.h"
#include "harness/contract/stage_recipe.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/network.h"
#include "harness/models/precision.h"
#include "methods/train/trainer.h"

namespace assay::train {
namespace {

constexpr std::size_t kMaxTokenizerBytes = std::size_t{256} << 20;

// What the methods before made, or the model's own weights, or fresh ones.
std::unique_ptr<models::Network> start_network(StageContext& context, std::uint64_t seed,
                                               const quant::ModelLoader& loader) {
  if (!network_chain(context).empty()) return loader(context).network;
  const auto [family, config] = model_of(context);
  std::unique_ptr<models::Network> network;
  if (!config.is_null()) {
    network = models::make_network(family, config);
    models::initialise(*network, seed);
  } else {
    network = models::load_network(model_files(context), family);
  }
  network->to(models::precision_of(numerics_of(context)));
  return network;
}

std::unique_ptr<Batches> data_for(const models::Network& network, const Settings& settings,
                                  const StageContext& context, std::uint64_t seed) {
  const models::NetworkInfo& info = network.info();
  if (info.task == models::Task::kLanguage) {
    const datasets::TokenSet tokens =
        datasets::read_tokens(context.input("tokens") / datasets::kTokensFile);
    return token_batches(tokens.ids, info, settings, seed);
  }
  return image_batches(
      datasets::open_images(data_of(context), data_files(context), class_names_of(context)), info,
      settings, seed);
}

// The trained network reads and writes the ids of the network that it began as. A byte tokenizer is
// said by config.json, which save_network() writes.
void copy_tokenizer(const StageContext& context, const std::filesystem::path& folder) {
  const FileSet files = model_files(context);
  for (const InputFile* file : files.of_role(kTokenizerRole)) {
    if (files.find(kConfigRole, file->name) != nullptr) continue;
    write_file_atomically(folder / file->name, read_input(*file, kMaxTokenizerBytes));
  }
}

Json run(StageContext& context, const quant::ModelLoader& loader) {
  const std::uint64_t seed = seed_of(context);
  const Settings settings = options_from<Settings>(context);
  const std::unique_ptr<models::Network> network = start_network(context, seed, loader);
  const std::unique_ptr<Batches> batches = data_for(*network, settings, context, seed);
  Trainer trainer(*network, *batches, settings);
  train_to_the_end(trainer, context);
  for (const auto& [name, slot] : network->parameters().slots()) slot->set_requires_grad(false);
  const std::filesystem::path folder = context.output();
  models::save_network(*network, folder);
  copy_tokenizer(context, folder);
  std::int64_t parameters = 0;
  for (const auto& [name, slot] : network->parameters().slots()) parameters += slot->numel();
  return {{"metrics",
           {{"train_loss", trainer.recent_loss()},
            {"steps", trainer.total_steps()},
            {"parameters", parameters}}}};
}

void check(const PlannedStage& stage) {
  const auto settings = options_from<Settings>(stage.context);
  const models::NetworkInfo& info = stage.network.info();
  if (info.task != models::Task::kLanguage) {
    if (!stage.samples) return settings.require_steps();
    settings.total_steps(*stage.samples);
    return;
  }
  require_window(info, settings);
  if (!stage.samples) return settings.require_steps();
  require_tokens(info, settings, *stage.samples);
  settings.total_steps(*stage.samples / window_of(info, settings));
}

}  // namespace
}  // namespace assay::train

namespace assay {

Method train_method() {
  using namespace train;
  return {
      .declaration = {.name = "train",
                      .title = "Training with AdamW, warm-up and cosine decay",
                      .paper =
                          "Loshchilov and Hutter, Decoupled weight decay regularization, ICLR 2019",
                      .parameters = schemas_of<Settings>(),
                      .calibration = "training",
                      .traits = {"trains"},
                      .network = "train",
                      // Small steps vanish in half precision.
                      .precisions = {"float32", "float64"}},
      .stages = {{.declaration = {.name = "train",
                                  .revision = 3,
                                  .reads = names_of<Settings>(),
                                  .reads_model = true,
                                  .reads_tokenizer = true,
                                  .reads_data = true,
                                  .reads_network = true,
                                  .inputs = {{.name = "tokens",
                                              .stage = "tokenize",
                                              .split = "train",
                                              .when = "task:language"}},
                                  .random = "seed",
                                  .resources = {.memory_bytes = std::int64_t{1} << 30}},
                  .run = run,
                  .check = check}}};
}

}  // namespace assay
