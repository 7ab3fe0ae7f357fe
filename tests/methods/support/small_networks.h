#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>

#include "harness/formats/philox.h"
#include "harness/models/network.h"
#include "harness/models/random_tensor.h"

namespace assay {

inline constexpr std::int64_t kContext = 12;

// Two blocks of 16 channels and an MLP of 24, float64, with activations of which some channels are
// large: "opt", or "llama" with `kv_heads` of its two heads.
inline std::unique_ptr<models::Network> small_network(const std::string& family,
                                                      std::int64_t kv_heads = 2) {
  Json configuration = {{"model_type", family},   {"hidden_size", 16},
                        {"num_hidden_layers", 2}, {"num_attention_heads", 2},
                        {"vocab_size", 32},       {"max_position_embeddings", kContext}};
  configuration[family == "opt" ? "ffn_dim" : "intermediate_size"] = 24;
  if (family == "llama") configuration["num_key_value_heads"] = kv_heads;
  std::unique_ptr<models::Network> network = models::make_network(family, configuration);
  models::initialise(*network, 5);
  network->to(at::kDouble);
  Philox random(5, "small_network");
  for (const auto& [name, slot] : network->parameters().slots()) {
    const bool norm = slot->dim() == 1 && name.find("norm") != std::string::npos;
    if (norm && name.ends_with(".weight")) {
      *slot = models::normal_tensor(random, slot->sizes().vec(), 0, 1, at::kDouble).exp();
    } else if (name.ends_with(".bias")) {
      *slot = models::normal_tensor(random, slot->sizes().vec(), 0, 0.2, at::kDouble);
    } else if (slot->dim() == 2) {
      *slot = *slot * 5;
    }
  }
  return network;
}

// int64 [rows, kContext].
inline at::Tensor small_tokens(std::int64_t rows) {
  Philox random(6, "small_tokens");
  return (models::uniform_tensor(random, {rows, kContext}, 0, 1, at::kDouble) * 32)
      .floor()
      .to(at::kLong);
}

}  // namespace assay
