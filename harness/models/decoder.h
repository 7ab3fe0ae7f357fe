#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "harness/formats/philox.h"
#include "harness/models/configuration.h"
#include "harness/models/network.h"

// What decoders (OPT, LLaMA and their relatives) have in common beside causal_attention.h.

namespace assay::models {

// A network of blocks with causal attention, in terms of one block behind a past.
class Decoder : public Network {
 public:
  at::Tensor embed(const at::Tensor& input, Tap& tap) const final;
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const final;
  at::Tensor head(const at::Tensor& hidden, Tap& tap) const final;
  at::Tensor decode(const at::Tensor& tokens, KeyValueCache& cache, Tap& tap) const final;
  void set_prefix(Prefix prefix) override;

 protected:
  // Hidden states of tokens at positions `position`, `position` + 1, ...
  virtual at::Tensor embed_at(std::int64_t position, const at::Tensor& tokens, Tap& tap) const = 0;
  virtual at::Tensor block(std::int64_t index, const at::Tensor& hidden, Past& past,
                           Tap& tap) const = 0;
  virtual at::Tensor logits(const at::Tensor& hidden, Tap& tap) const = 0;

  // The parameter that holds the token embedding, and the head where lm_head.weight is none.
  virtual std::string embedding() const = 0;

  std::vector<std::vector<std::string>> weights_by_unit() const final;
};

// The field `rotated` of a decoder's configuration (block_rotation.h).
inline constexpr const char* kRotatedDoc =
    "Whether the network is one that the method quarot has rotated, whose blocks turn keys, heads "
    "and inputs of the MLP's last layer by Hadamard matrices as they run.";

// That a rotated network does not tie its head to the embedding. Throws Error(kConfig).
void require_own_head(const Configuration& configuration);

// A linear layer of a block: its name below the block's prefix, and where the block names the sites
// of its input and output.
template <typename Block>
struct BlockLayer {
  const char* name;
  std::string Block::*input_site;
  std::string Block::*output_site;
};

// The linear layers of all blocks in execution order. `prefix`: of a block's parameters in
// checkpoints, "model.layers.0.".
template <typename Block>
std::vector<Layer> block_layers(const std::vector<Block>& blocks,
                                std::string (*prefix)(std::size_t),
                                std::initializer_list<BlockLayer<Block>> layers) {
  std::vector<Layer> all;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    for (const BlockLayer<Block>& layer : layers) {
      all.push_back({.name = prefix(i) + layer.name,
                     .unit = static_cast<std::int64_t>(i),
                     .input_site = blocks[i].*layer.input_site,
                     .output_site = blocks[i].*layer.output_site});
    }
  }
  return all;
}

// The attention of a block by the names of its layers; sites and rotary embedding are left to the
// family. `out`: of the output projection, "self_attn.o_proj".
AttentionParts attention_named(const std::string& prefix, const char* out, std::int64_t heads,
                               std::int64_t kv_heads, std::int64_t head_dim);

// q, k and v of a block behind its norm.
ScaleGroup scale_group_of_projections(const std::string& prefix, std::vector<std::string> norm);

// A parameter of a new decoder, of the shape of `like`: biases 0, scales of norms 1, matrices from
// N(0, deviation).
at::Tensor initial_of_decoder(const std::string& name, const at::Tensor& like, double deviation,
                              Philox& random);

}  // namespace assay::models
