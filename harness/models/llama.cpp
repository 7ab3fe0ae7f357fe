#include <ATen/ATen.h>
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/block_rotation.h"
#include "harness/models/causal_attention.h"
#include "harness/models/configuration.h"
#include "harness/models/decoder.h"
#include "harness/models/family.h"
#include "harness/models/layers.h"
#include "harness/models/rotary.h"

// LLaMA (Touvron et al. 2023) and its relatives Mistral and Qwen2, with Hugging Face names.

namespace assay::models {
namespace {

struct Block {
  RmsNorm input_norm, post_norm;
  Linear q, k, v, o, gate, up, down;

  std::string in, q_in, q_out, k_out, v_out, q_rot, k_rot, k_cache, v_cache, probabilities, out_in, out_out;
  std::string residual, gate_in, gate_out, up_out, down_in, down_out;

  void name_sites(const std::string& prefix) {
    in = prefix + "in";
    q_in = prefix + "attn.q.in";
    q_out = prefix + "attn.q.out";
    k_out = prefix + "attn.k.out";
    v_out = prefix + "attn.v.out";
    q_rot = prefix + "attn.q.rot";
    k_rot = prefix + "attn.k.rot";
    k_cache = prefix + "attn.k.cache";
    v_cache = prefix + "attn.v.cache";
    probabilities = prefix + "attn.probabilities";
    out_in = prefix + "attn.out.in";
    out_out = prefix + "attn.out.out";
    residual = prefix + "residual1";
    gate_in = prefix + "mlp.gate.in";
    gate_out = prefix + "mlp.gate.out";
    up_out = prefix + "mlp.up.out";
    down_in = prefix + "mlp.down.in";
    down_out = prefix + "mlp.down.out";
  }
};

struct LlamaConfiguration {
  std::int64_t vocabulary, hidden, intermediate, depth, heads, kv_heads, head_dim, context;
  double eps, rope_base;
  bool tied, qkv_bias, out_bias, mlp_bias, rotated;
  Json rope_scaling;
};

std::vector<ParameterSchema> fields() {
  return {
      integer_field("vocab_size", nullptr, 1, 1 << 24, "Entries of the vocabulary."),
      integer_field("hidden_size", nullptr, 1, 1 << 16, "Width of the residual stream."),
      integer_field("intermediate_size", nullptr, 1, 1 << 20, "Width of the MLP."),
      integer_field("num_hidden_layers", nullptr, 1, 1024, "Number of blocks."),
      integer_field("num_attention_heads", nullptr, 1, 1024, "Query heads of a block."),
      integer_field("num_key_value_heads", 0, 0, 1024,
                    "Key and value heads of a block; 0: as many as query heads."),
      integer_field("head_dim", 0, 0, 1 << 14,
                    "Channels of a head; 0: hidden_size / num_attention_heads."),
      integer_field("max_position_embeddings", 2048, 1, 1 << 24, "Longest sequence, in tokens."),
      real_field("rms_norm_eps", 1e-6, 0, 1, "Epsilon of every RMSNorm."),
      real_field("rope_theta", 10000.0, 1, 1e12, "Base of the rotary position embedding."),
      flag_field("tie_word_embeddings", false, "Whether the head is the token embedding."),
      flag_field("attention_bias", false, "Whether q, k, v and o have biases."),
      flag_field("mlp_bias", false, "Whether gate, up and down have biases."),
      flag_field("rotated", false, kRotatedDoc),
      real_field("initializer_range", 0.02, 0, 10, "Deviation of freshly drawn weights."),
  };
}

std::string model_type_of(const Json& given) {
  const auto found = given.find("model_type");
  return found != given.end() && found->is_string() ? found->get<std::string>() : "llama";
}

void refuse_what_is_not_offered(const Configuration& c) {
  // "swish" is transformers' other name for it.
  if (c.given().value("hidden_act", Json()) != "swish")
    c.require("hidden_act", "silu", "the MLP is SwiGLU");
  c.require("is_causal", true, "attention sees what came before");
  c.require("qk_norm", false, "queries and keys are not normalised");
  c.require("partial_rotary_factor", 1.0, "all channels of a head are rotated");
  c.require("quantization_config", nullptr, "the checkpoint is quantized already");
  const Json& given = c.given();
  const auto window = given.find("sliding_window");
  const Json layers = given.value("layer_types", Json());
  const bool uses = !given.contains("use_sliding_window") || given["use_sliding_window"] == true ||
                    std::find(layers.begin(), layers.end(), "sliding_attention") != layers.end();
  if (window != given.end() && uses) {
    if (!window->is_number_integer() ||
        window->get<std::int64_t>() < c.integer("max_position_embeddings"))
      c.require("sliding_window", nullptr, "attention sees the whole sequence");
  }
}

bool is_given(const Json& object, const char* field) {
  return object.contains(field) && !object[field].is_null();
}

// Base, scaling and rotated share of the rotary embedding, which newer files keep in one object,
// `rope_parameters`, and older ones in `rope_theta`, `rope_scaling` and `partial_rotary_factor`.
Json with_flat_rope(const Json& given) {
  if (!given.is_object() || !is_given(given, "rope_parameters")) return given;
  Json flat = given;
  Json scaling = given["rope_parameters"];
  const auto contradict = [&](const char* field) {
    throw Error(ErrorKind::kConfig,
                fmt::format("configuration of family 'llama': '{}' is {}, and 'rope_parameters' "
                            "says otherwise: {}; keep one of them",
                            field, given[field].dump(), given["rope_parameters"].dump()),
                {{"family", "llama"}, {"field", field}});
  };
  if (scaling.is_object()) {
    for (const char* field : {"rope_theta", "partial_rotary_factor"}) {
      if (!is_given(scaling, field)) continue;
      if (is_given(given, field) && given[field] != scaling[field]) contradict(field);
      flat[field] = scaling[field];
      scaling.erase(field);
    }
    if (scaling.empty()) scaling = nullptr;
  }
  if (is_given(given, "rope_scaling")) {
    Json other = given["rope_scaling"];
    if (other.is_object()) other.erase("rope_theta");
    if (other != scaling) contradict("rope_scaling");
  }
  flat["rope_scaling"] = std::move(scaling);
  return flat;
}

LlamaConfiguration read_configuration(const Json& given) {
  const Json flat = with_flat_rope(given);
  const Configuration c("llama", fields(), flat);
  refuse_what_is_not_offered(c);
  LlamaConfiguration l{};
  l.vocabulary = c.integer("vocab_size");
  l.hidden = c.integer("hidden_size");
  l.intermediate = c.integer("intermediate_size");
  l.depth = c.integer("num_hidden_layers");
  l.heads = c.integer("num_attention_heads");
  l.kv_heads = c.integer("num_key_value_heads");
  if (l.kv_heads == 0) l.kv_heads = l.heads;
  if (l.heads % l.kv_heads != 0)
    c.reject("num_attention_heads",
             fmt::format("is {}, not a multiple of num_key_value_heads {}", l.heads, l.kv_heads));
  l.head_dim = c.integer("head_dim");
  if (l.head_dim == 0) {
    if (l.hidden % l.heads != 0)
      c.reject("hidden_size",
               fmt::format("is {}, not a multiple of num_attention_heads {}", l.hidden, l.heads));
    l.head_dim = l.hidden / l.heads;
  }
  if (l.head_dim % 2 != 0) c.reject("head_dim", fmt::format("is {}, not even", l.head_dim));
  l.context = c.integer("max_position_embeddings");
  l.eps = c.real("rms_norm_eps");
  l.rope_base = c.real("rope_theta");
  l.tied = c.flag("tie_word_embeddings");
  l.out_bias = c.flag("attention_bias");
  l.qkv_bias = l.out_bias || model_type_of(given) == "qwen2";
  l.mlp_bias = c.flag("mlp_bias");
  l.rotated = c.flag("rotated");
  require_own_head(c);
  l.rope_scaling = flat.value("rope_scaling", Json());
  return l;
}

std::string block_prefix(std::size_t index) { return fmt::format("blocks.{}.", index); }
std::string layer_prefix(std::size_t index) { return fmt::format("model.layers.{}.", index); }

class Llama final : public Decoder {
 public:
  Llama(const Json& configuration, bool allocate);

  const NetworkInfo& info() const override { return info_; }
  const Json& configuration() const override { return configuration_; }
  std::int64_t unit_count() const override { return config_.depth; }
  std::vector<Layer> layers() const override;
  std::optional<AttentionParts> attention_parts(std::int64_t unit) const override;
  std::vector<ScaleGroup> scale_groups() const override;
  std::optional<ResidualParts> residual_parts() const override;
  std::vector<std::string> sites() const override;

 protected:
  at::Tensor embed_at(std::int64_t position, const at::Tensor& tokens, Tap& tap) const override;
  at::Tensor block(std::int64_t index, const at::Tensor& hidden, Past& past,
                   Tap& tap) const override;
  at::Tensor logits(const at::Tensor& hidden, Tap& tap) const override;
  std::string embedding() const override { return "model.embed_tokens.weight"; }

 private:
  at::Tensor attention(std::int64_t index, const at::Tensor& x, Past& past, Tap& tap) const;

  LlamaConfiguration config_;
  Json configuration_;
  NetworkInfo info_;
  Rotary rotary_;
  std::shared_ptr<const BlockRotation> rotation_;  // of a rotated network
  at::Tensor embedding_;
  std::vector<Block> blocks_;
  RmsNorm norm_;
  at::Tensor lm_head_;  // undefined if tied
};

Llama::Llama(const Json& configuration, bool allocate)
    : config_(read_configuration(configuration)),
      configuration_(configuration),
      rotary_(config_.head_dim, config_.rope_base, config_.rope_scaling) {
  const LlamaConfiguration& c = config_;
  if (!configuration_.contains("model_type")) configuration_["model_type"] = "llama";
  info_ = {
      .family = "llama", .task = Task::kLanguage, .outputs = c.vocabulary, .context = c.context};
  if (c.rotated) rotation_ = std::make_shared<BlockRotation>(c.heads, c.head_dim, c.intermediate);
  Builder build(parameters_, buffers_, allocate);
  build.parameter("model.embed_tokens.weight", embedding_, {c.vocabulary, c.hidden});
  blocks_.resize(static_cast<std::size_t>(c.depth));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block& b = blocks_[i];
    b.name_sites(block_prefix(i));
    const std::string prefix = layer_prefix(i);
    const std::int64_t queries = c.heads * c.head_dim;
    const std::int64_t keys = c.kv_heads * c.head_dim;
    build.rms_norm(prefix + "input_layernorm", b.input_norm, c.hidden, c.eps);
    build.linear(prefix + "self_attn.q_proj", b.q, c.hidden, queries, c.qkv_bias);
    build.linear(prefix + "self_attn.k_proj", b.k, c.hidden, keys, c.qkv_bias);
    build.linear(prefix + "self_attn.v_proj", b.v, c.hidden, keys, c.qkv_bias);
    build.linear(prefix + "self_attn.o_proj", b.o, queries, c.hidden, c.out_bias);
    build.rms_norm(prefix + "post_attention_layernorm", b.post_norm, c.hidden, c.eps);
    build.linear(prefix + "mlp.gate_proj", b.gate, c.hidden, c.intermediate, c.mlp_bias);
    build.linear(prefix + "mlp.up_proj", b.up, c.hidden, c.intermediate, c.mlp_bias);
    build.linear(prefix + "mlp.down_proj", b.down, c.intermediate, c.hidden, c.mlp_bias);
  }
  build.rms_norm("model.norm", norm_, c.hidden, c.eps);
  if (!c.tied) build.parameter("lm_head.weight", lm_head_, {c.vocabulary, c.hidden});
}

at::Tensor Llama::embed_at(std::int64_t, const at::Tensor& tokens, Tap& tap) const {
  return tap("embed.out", at::embedding(embedding_, tokens));
}

at::Tensor Llama::attention(std::int64_t index, const at::Tensor& x, Past& past, Tap& tap) const {
  const Block& b = blocks_[static_cast<std::size_t>(index)];
  const LlamaConfiguration& c = config_;
  const std::int64_t batch = x.size(0);
  const std::int64_t length = x.size(1);
  const auto heads = [&](const at::Tensor& y, std::int64_t count) {
    return y.reshape({batch, length, count, c.head_dim});
  };
  at::Tensor q = heads(tap(b.q_out, b.q(x)), c.heads);
  at::Tensor k = heads(tap(b.k_out, b.k(x)), c.kv_heads);
  const at::Tensor v = heads(tap(b.v_out, b.v(x)), c.kv_heads).transpose(1, 2);
  const at::Tensor q_rot =
      tap(b.q_rot, rotary_(std::move(q), past.length()).transpose(1, 2));  // [B, H, T, d]
  const at::Tensor k_rot = tap(b.k_rot, rotary_(std::move(k), past.length()).transpose(1, 2));
  const auto turned = [&](const at::Tensor& y) { return rotation_ ? rotation_->head(y) : y; };
  const KeyValues all = past.extended(index, {tap(b.k_cache, turned(k_rot)), tap(b.v_cache, v)});
  const double scale = 1.0 / std::sqrt(static_cast<double>(c.head_dim));
  const at::Tensor mixed =
      causal_attention(turned(q_rot), all.keys, all.values, scale, b.probabilities, tap);
  at::Tensor joined = mixed.transpose(1, 2).reshape({batch, length, c.heads * c.head_dim});
  if (rotation_) joined = rotation_->joined(joined);
  return tap(b.out_out, b.o(tap(b.out_in, joined)));
}

at::Tensor Llama::block(std::int64_t index, const at::Tensor& hidden, Past& past, Tap& tap) const {
  const Block& b = blocks_.at(static_cast<std::size_t>(index));
  const at::Tensor x = tap(b.in, hidden);
  at::Tensor y = attention(index, tap(b.q_in, b.input_norm(x)), past, tap);
  const at::Tensor middle = tap(b.residual, add_into(std::move(y), x));
  const at::Tensor u = tap(b.gate_in, b.post_norm(middle));
  at::Tensor gate = tap(b.gate_out, b.gate(u));
  y = apply_swiglu(std::move(gate), tap(b.up_out, b.up(u)));
  if (rotation_) y = rotation_->mlp(y);
  return add_into(tap(b.down_out, b.down(tap(b.down_in, y))), middle);
}

at::Tensor Llama::logits(const at::Tensor& hidden, Tap& tap) const {
  const at::Tensor x = tap("head.in", norm_(tap("norm.in", hidden)));
  return tap("head.out", at::linear(x, lm_head_.defined() ? lm_head_ : embedding_));
}

std::vector<Layer> Llama::layers() const {
  return block_layers<Block>(blocks_, layer_prefix,
                             {{"self_attn.q_proj", &Block::q_in, &Block::q_out},
                              {"self_attn.k_proj", &Block::q_in, &Block::k_out},
                              {"self_attn.v_proj", &Block::q_in, &Block::v_out},
                              {"self_attn.o_proj", &Block::out_in, &Block::out_out},
                              {"mlp.gate_proj", &Block::gate_in, &Block::gate_out},
                              {"mlp.up_proj", &Block::gate_in, &Block::up_out},
                              {"mlp.down_proj", &Block::down_in, &Block::down_out}});
}

std::optional<AttentionParts> Llama::attention_parts(std::int64_t unit) const {
  const std::size_t index = static_cast<std::size_t>(unit);
  const Block& b = blocks_.at(index);
  AttentionParts parts = attention_named(layer_prefix(index), "self_attn.o_proj", config_.heads,
                                         config_.kv_heads, config_.head_dim);
  parts.queries = b.q_rot, parts.keys = b.k_rot, parts.probabilities = b.probabilities;
  parts.key_cache = b.k_cache, parts.value_cache = b.v_cache;
  parts.rotary = rotary_.frequencies();
  parts.rotation = rotation_;
  return parts;
}

std::vector<ScaleGroup> Llama::scale_groups() const {
  std::vector<ScaleGroup> all;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::string p = layer_prefix(i), a = p + "self_attn.", m = p + "mlp.";
    const auto rows_of = [](const std::string& name, bool bias) {
      std::vector<std::string> parameters = {name + ".weight"};
      if (bias) parameters.push_back(name + ".bias");
      return parameters;
    };
    all.push_back(scale_group_of_projections(p, {p + "input_layernorm.weight"}));
    // A value channel that several heads read has one scale for all of them; what is rotated in
    // between has no channels in common with what stands before.
    if (config_.kv_heads == config_.heads && !rotation_) {
      all.push_back({{a + "o_proj"}, rows_of(a + "v_proj", config_.qkv_bias)});
    }
    all.push_back(
        {{m + "gate_proj", m + "up_proj"}, {p + "post_attention_layernorm.weight"}, true});
    if (!rotation_) all.push_back({{m + "down_proj"}, rows_of(m + "up_proj", config_.mlp_bias)});
  }
  return all;
}

std::optional<ResidualParts> Llama::residual_parts() const {
  ResidualParts parts{.embeddings = {"model.embed_tokens.weight"}};
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::string p = layer_prefix(i), a = p + "self_attn.", m = p + "mlp.";
    parts.readers.push_back({p + "input_layernorm", {a + "q_proj", a + "k_proj", a + "v_proj"}});
    parts.readers.push_back({p + "post_attention_layernorm", {m + "gate_proj", m + "up_proj"}});
    parts.writers.insert(parts.writers.end(), {a + "o_proj", m + "down_proj"});
  }
  parts.readers.push_back({"model.norm", {"lm_head"}});
  return parts;
}

std::vector<std::string> Llama::sites() const {
  std::vector<std::string> all;
  for (const Block& b : blocks_) all.insert(all.end(), {b.q_in, b.out_in, b.gate_in, b.down_in});
  return all;
}

std::unique_ptr<Network> make(const Json& configuration, bool allocate) {
  return std::make_unique<Llama>(configuration, allocate);
}

at::Tensor initial(const Network& network, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  return initial_of_decoder(name, like, network.configuration().value("initializer_range", 0.02),
                            random);
}

}  // namespace

Family llama_family() {
  return {.declaration = {.name = "llama",
                          .title = "LLaMA and relatives: Mistral, Qwen2",
                          .task = "language",
                          .model_types = {"llama", "mistral", "qwen2"},
                          .configuration = fields(),
                          .context = "max_position_embeddings"},
          .make = make,
          .rename = keep_name,
          .initial = initial,
          .describes = [](const Json&) { return false; }};
}

}  // namespace assay::models
