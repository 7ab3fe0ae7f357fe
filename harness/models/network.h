#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/formats/input_file.h"
#include "harness/models/key_values.h"
#include "harness/models/parameter_table.h"
#include "harness/models/tap.h"

namespace assay::models {

class BlockRotation;

enum class Task { kClassification, kLanguage };

// What callers need to know of a network without knowing its family.
struct NetworkInfo {
  std::string family;  // "vit", "resnet", "cifar_resnet", "mobilenet_v2", "opt", "llama"
  Task task = Task::kClassification;
  std::int64_t outputs = 0;         // classes, or vocabulary size
  std::vector<std::int64_t> input;  // classification: [channels, height, width]
  std::vector<double> mean,
      std;  // classification: the normalisation that the weights expect, one per channel
  std::int64_t context = 0;        // language: the most tokens a sequence can have
  bool learned_positions = false;  // language: a prefix takes its positions from the context
};

// The name of a task in catalogues and records: "classification" or "language".
std::string_view name_of(Task task);

enum class LayerKind { kLinear, kConv };

// A weight that a method may quantize: parameter `name + ".weight"`, [out, in] or [out, in /
// groups, kh, kw].
struct Layer {
  std::string name;  // as in checkpoints: "blocks.0.attn.qkv", "model.layers.0.self_attn.q_proj"
  LayerKind kind = LayerKind::kLinear;
  std::int64_t unit = 0;   // -1: embed, unit_count(): head
  std::string input_site;  // of the tap that carries its input (shared by q, k, v)
  std::string output_site;
};

// The causal self-attention of a unit, for methods that look at its heads. Rows of a projection's
// weight are head after head.
struct AttentionParts {
  std::string q, k, v, out;    // names of the layers
  std::int64_t heads = 0;      // of queries
  std::int64_t kv_heads = 0;   // of keys and values; each serves heads / kv_heads queries in a row
  std::int64_t head_dim = 0;   // channels of a head
  std::string queries, keys;   // sites of what the scores are made of, before they are scaled:
                               // [B, T, heads * head_dim], or turned, [B, heads, T, head_dim]
  std::string probabilities;   // site: [B, heads, T, T]
  std::string key_cache, value_cache;  // sites of what decoding keeps: [B, kv_heads, T, head_dim]
  std::vector<double> rotary;  // frequencies of the rotary embedding (rotary.h); empty: none
  // What turns queries and keys behind their sites, and the heads before `out`; null: nothing.
  std::shared_ptr<const BlockRotation> rotation;
};

// The residual stream of a decoder: what adds to it, and what reads it, for methods that turn its
// basis. Names of layers and norms are those of their parameters without ".weight".
struct ResidualParts {
  // A norm, and the layers behind it, which read nothing else.
  struct Reader {
    std::string norm;
    std::vector<std::string> layers;
  };

  std::vector<std::string> embeddings;  // parameters [n, width]: one row of each is added
  std::vector<Reader> readers;          // in execution order; the last is that of the head
  std::vector<std::string> writers;     // layers whose outputs are added
  bool centred = false;                 // norms subtract the mean
};

// Layers whose common input may be scaled channel by channel, because what produces it can be
// scaled back: y = W (x s) with x / s made by the producers. The network's function stays the same
// for any s > 0.
struct ScaleGroup {
  std::vector<std::string> layers;     // names; column j of their weights times s_j
  std::vector<std::string> producers;  // parameters; row j (of a vector: value j) divided by s_j
  bool after_norm = false;             // the producers are those of a norm
};

// A network written once, with explicit forward code, for float and quantized runs alike.
// Not copyable; used by one thread. All tensors on one device and of one floating dtype.
//
//   const std::unique_ptr<Network> network = make_network("vit", configuration);
//   for (const Layer& layer : network->layers()) {
//     at::Tensor& weight = network->parameters().at(layer.name + ".weight");
//     weight = rounded(weight);
//   }
//   const at::Tensor logits = network->forward(images);  // [B, classes]
class Network {
 public:
  virtual ~Network() = default;

  virtual const NetworkInfo& info() const = 0;

  // The configuration it was made from, as config.json would hold it.
  virtual const Json& configuration() const = 0;

  // Block-sequential view. Images: float [B, C, H, W], normalised; tokens: int64 [B, T].
  // A hidden state is whatever one unit hands to the next: [B, N, D] tokens, or [B, C, H, W] maps.
  virtual at::Tensor embed(const at::Tensor& input, Tap& tap) const = 0;
  virtual std::int64_t unit_count() const = 0;
  virtual at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const = 0;
  virtual at::Tensor head(const at::Tensor& hidden,
                          Tap& tap) const = 0;  // logits [B, classes] or [B, T, vocabulary]

  // embed, every unit, head. Under a passive tap a family may leave out rows of its last unit that
  // the head does not read.
  virtual at::Tensor forward(const at::Tensor& input, Tap& tap) const;
  at::Tensor forward(const at::Tensor& input) const;

  // Language: keys and values that stand before every sequence, as if tokens had come before it:
  // positions of tokens start behind them, every token sees them, and no tap does. Empty: none.
  const Prefix& prefix() const { return prefix_; }

  // Throws Error(kUnsupported) for a family that has no prefix, Error(kData) for one of another
  // shape.
  virtual void set_prefix(Prefix prefix);

  // Language: logits [B, T, vocabulary] of tokens int64 [B, T] that follow those in the cache,
  // which they join. A cache starts as KeyValueCache(prefix()). Within 1e-5 of a forward pass over
  // all of them. Throws Error(kUnsupported) for a family that does not decode, Error(kData) for
  // more tokens than info().context.
  virtual at::Tensor decode(const at::Tensor& tokens, KeyValueCache& cache, Tap& tap) const;

  // Quantizable weights in execution order.
  virtual std::vector<Layer> layers() const = 0;

  // Nothing: the unit has no attention of this kind.
  virtual std::optional<AttentionParts> attention_parts(std::int64_t unit) const;

  // Of all units, in execution order. Families that declare none have none.
  virtual std::vector<ScaleGroup> scale_groups() const;

  // Nothing: the family has no residual stream of this kind.
  virtual std::optional<ResidualParts> residual_parts() const;

  // Sites of activation quantizers in execution order: protocol P1 for vision transformers, edges
  // for convolutional networks, inputs of linear layers for language models
  // (docs/guides/networks.md).
  virtual std::vector<std::string> sites() const = 0;

  const ParameterTable& parameters() const { return parameters_; }  // learnable
  ParameterTable& parameters() { return parameters_; }
  const ParameterTable& buffers() const { return buffers_; }        // running statistics

  // Batch statistics in BatchNorm (training) or running ones (default).
  void set_training(bool training) { training_ = training; }
  bool training() const { return training_; }

  // Converts parameters, floating buffers and the prefix in place; deferred parameters, each time
  // that they are made. They become new tensors without gradients.
  void to(at::ScalarType dtype);

  // Of the parameters.
  at::ScalarType dtype() const;
  at::Device device() const;

  // Lets the large weights of a language model be deferred (ParameterTable); a family that names
  // none (weights_by_unit) keeps all its values. For loaders, once.
  void defer_weights();

  // While it lives, the weights of a unit have values; -1 the embedding, unit_count() the head, and
  // of hold_all() every unit. Passes hold by themselves what they come to; who calls a unit several
  // times holds it meanwhile, so that its weights are made once; with `last_use`, if no pass will
  // come to it again.
  [[nodiscard]] WeightHold hold(std::int64_t unit, bool last_use = false) const;
  [[nodiscard]] WeightHold hold_all() const;

 protected:
  // Parameters that may be deferred, by unit, those of the embedding first and of the head last: a
  // family that names some holds them in all its passes. None by default.
  virtual std::vector<std::vector<std::string>> weights_by_unit() const { return {}; }

  ParameterTable parameters_;
  ParameterTable buffers_;
  Prefix prefix_;
  bool training_ = false;

 private:
  std::vector<std::vector<std::string>> held_by_unit_;
  std::vector<std::string> held_by_any_;
};

// A network of the family with parameters allocated but not filled. Throws Error(kConfig |
// kUnsupported) naming the field of the configuration that is missing, wrong or not offered.
std::unique_ptr<Network> make_network(const std::string& family, const Json& configuration);

// What is offered, for the catalogue: names, configuration fields with ranges and defaults.
std::vector<FamilyDeclaration> families();

// The family that a config.json describes. Throws Error(kUnsupported) naming what it says instead.
std::string family_of(const Json& configuration);

// Fills parameters by the family's usual initialisation from Philox(seed, "init").
void initialise(Network& network, std::uint64_t seed);

// The network of a checkpoint's files (harness/formats/checkpoint_layout.h). `family`: "" reads it
// from the configuration. Keeps the checkpoint's dtype. The weights of a language model are
// deferred: they stay in the mapped files until they are needed. Throws Error(kData) listing
// tensors that are missing, unexpected or misshapen.
std::unique_ptr<Network> load_network(const FileSet& files, const std::string& family = "");

// Writes config.json and model.safetensors into an existing folder; load_network reads them back
// bit for bit.
void save_network(const Network& network, const std::filesystem::path& folder);

}  // namespace assay::models
