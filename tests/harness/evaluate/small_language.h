#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "datasets/token_set.h"
#include "harness/models/network.h"

// A text and a network that are small enough to compute again by hand.

namespace assay::evaluate {

// Documents of these lengths.
inline datasets::TokenSet tokens_of(const std::vector<std::int64_t>& lengths,
                                    std::int64_t vocabulary) {
  datasets::TokenSet tokens;
  tokens.starts.push_back(0);
  for (const std::int64_t length : lengths) {
    tokens.starts.push_back(tokens.starts.back() + length);
  }
  tokens.ids = at::arange(tokens.size()).mul(7).add(2).remainder(vocabulary).to(at::kInt);
  tokens.bytes = at::arange(tokens.size()).remainder(3).add(1).to(at::kInt);
  tokens.words = at::arange(tokens.size()).remainder(2).to(at::kInt);
  tokens.bos = 1;
  return tokens;
}

inline std::unique_ptr<models::Network> small_llama(std::uint64_t seed = 3) {
  auto network = models::make_network("llama", {{"vocab_size", 64},
                                                {"hidden_size", 16},
                                                {"intermediate_size", 24},
                                                {"num_hidden_layers", 2},
                                                {"num_attention_heads", 2},
                                                {"num_key_value_heads", 1},
                                                {"max_position_embeddings", 32},
                                                {"rms_norm_eps", 1e-5},
                                                {"rope_theta", 10000.0},
                                                {"tie_word_embeddings", false}});
  models::initialise(*network, seed);
  return network;
}

}  // namespace assay::evaluate
