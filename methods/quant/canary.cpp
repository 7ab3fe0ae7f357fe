#include "methods/quant/canary.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/random_tensor.h"

namespace assay::quant {
namespace {

constexpr std::uint64_t kSeed = 20;

Json configuration_of(const std::string& family) {
  if (family == "vit") {
    return {{"img_size", 16}, {"patch_size", 4}, {"embed_dim", 32},
            {"depth", 2},     {"num_heads", 2},  {"num_classes", 5}};
  }
  return {{"model_type", "opt"},
          {"hidden_size", 32},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"ffn_dim", 64},
          {"vocab_size", 64},
          {"max_position_embeddings", 32},
          {"word_embed_proj_dim", 32},
          {"do_layer_norm_before", true}};
}

}  // namespace

std::unique_ptr<models::Network> canary_network(const std::string& family) {
  std::unique_ptr<models::Network> network = models::make_network(family, configuration_of(family));
  models::initialise(*network, kSeed);
  // The usual initialisation is so small that every block is nearly the identity.
  for (const models::Layer& layer : network->layers()) {
    at::Tensor& weight = network->parameters().at(layer.name + ".weight");
    weight = weight * 5;
  }
  return network;
}

at::Tensor canary_inputs(const models::Network& network, std::int64_t rows) {
  const models::NetworkInfo& info = network.info();
  Philox random(kSeed, "canary");
  if (info.task == models::Task::kClassification) {
    return models::normal_tensor(random, {rows, info.input[0], info.input[1], info.input[2]}, 0, 1);
  }
  const at::Tensor uniform =
      models::uniform_tensor(random, {rows, info.context}, 0, 1, at::kDouble);
  return (uniform * info.outputs).floor().to(at::kLong);
}

void assert_canary(bool holds, const std::string& method, const std::string& statement) {
  if (holds) return;
  throw Error(ErrorKind::kMethod,
              fmt::format("canary of {}: '{}' does not hold", method, statement),
              {{"method", method}});
}

bool CanaryWalk::same_codes(const CanaryWalk& other) const {
  return std::all_of(model.layers.begin(), model.layers.end(), [&](const auto& each) {
    return each.second.code.equal(other.model.layers.at(each.first).code);
  });
}

CanaryWalk walk_canary(const std::function<BlockQuantizer(models::Network& network)>& quantizer_for,
                       const SequentialOptions& sequential) {
  const std::unique_ptr<models::Network> network = canary_network("opt");
  const at::Tensor tokens = canary_inputs(*network, 16);
  const at::Tensor expected = network->forward(tokens);
  BlockWalkResult made = quantize_blocks(*network, tokens, quantizer_for(*network),
                                         {.method = "canary", .sequential = sequential});
  CanaryWalk walk{.model = std::move(made.model),
                  .losses = std::move(made.losses),
                  .first_losses = std::move(made.first_losses)};
  walk.error = relative_error(network->forward(tokens), expected);
  return walk;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

}  // namespace assay::quant
