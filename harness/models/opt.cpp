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

// OPT (Zhang et al. 2022) with pre-norm blocks, learned positions and Hugging Face names.

namespace assay::models {
namespace {

constexpr std::int64_t kPositionOffset = 2;  // the table's first two rows belong to padding
constexpr double kEps = 1e-5;

// LayerNorm, or, in a rotated network, whose residual stream has no mean to subtract, RMSNorm.
struct Norm {
  LayerNorm plain;
  RmsNorm rotated;

  at::Tensor operator()(const at::Tensor& x) const {
    return rotated.weight.defined() ? rotated(x) : plain(x);
  }
};

struct Block {
  Norm attention_norm, final_norm;
  Linear q, k, v, out, fc1, fc2;

  std::string in, q_in, q_out, k_out, v_out, k_cache, v_cache, probabilities, out_in, out_out;
  std::string residual, fc1_in, fc1_out, fc2_in, fc2_out;

  void name_sites(const std::string& prefix) {
    in = prefix + "in";
    q_in = prefix + "attn.q.in";
    q_out = prefix + "attn.q.out";
    k_out = prefix + "attn.k.out";
    v_out = prefix + "attn.v.out";
    k_cache = prefix + "attn.k.cache";
    v_cache = prefix + "attn.v.cache";
    probabilities = prefix + "attn.probabilities";
    out_in = prefix + "attn.out.in";
    out_out = prefix + "attn.out.out";
    residual = prefix + "residual1";
    fc1_in = prefix + "mlp.fc1.in";
    fc1_out = prefix + "mlp.fc1.out";
    fc2_in = prefix + "mlp.fc2.in";
    fc2_out = prefix + "mlp.fc2.out";
  }
};

std::vector<ParameterSchema> fields() {
  return {
      integer_field("vocab_size", nullptr, 1, 1 << 24, "Entries of the vocabulary."),
      integer_field("hidden_size", nullptr, 1, 1 << 16, "Width of the residual stream."),
      integer_field("ffn_dim", nullptr, 1, 1 << 20, "Width of the MLP."),
      integer_field("num_hidden_layers", nullptr, 1, 1024, "Number of blocks."),
      integer_field("num_attention_heads", nullptr, 1, 1024, "Attention heads of a block."),
      integer_field("max_position_embeddings", 2048, 1, 1 << 24, "Longest sequence, in tokens."),
      flag_field("tie_word_embeddings", true, "Whether the head is the token embedding."),
      flag_field("rotated", false, kRotatedDoc),
      real_field("init_std", 0.02, 0, 10, "Deviation of freshly drawn weights."),
  };
}

Configuration read_configuration(const Json& given) {
  Configuration c("opt", fields(), given);
  c.require("do_layer_norm_before", true,
            "blocks normalise before attention and MLP (opt-350m does not)");
  c.require("word_embed_proj_dim", c.integer("hidden_size"),
            "there is no projection between embedding and blocks (opt-350m has one)");
  c.require("activation_function", "relu", "the MLP's activation is ReLU");
  c.require("enable_bias", true, "linear layers have biases");
  c.require("layer_norm_elementwise_affine", true, "norms have weights");
  c.require("_remove_final_layer_norm", false, "the last norm is part of the network");
  c.require("quantization_config", nullptr, "the checkpoint is quantized already");
  if (c.integer("hidden_size") % c.integer("num_attention_heads") != 0)
    c.reject("hidden_size",
             fmt::format("is {}, not a multiple of num_attention_heads {}",
                         c.integer("hidden_size"), c.integer("num_attention_heads")));
  require_own_head(c);
  return c;
}

std::string block_prefix(std::size_t index) { return fmt::format("blocks.{}.", index); }
std::string layer_prefix(std::size_t index) {
  return fmt::format("model.decoder.layers.{}.", index);
}

class Opt final : public Decoder {
 public:
  Opt(const Json& configuration, bool allocate);

  const NetworkInfo& info() const override { return info_; }
  const Json& configuration() const override { return configuration_; }
  std::int64_t unit_count() const override { return static_cast<std::int64_t>(blocks_.size()); }
  std::vector<Layer> layers() const override;
  std::optional<AttentionParts> attention_parts(std::int64_t unit) const override;
  std::vector<ScaleGroup> scale_groups() const override;
  std::optional<ResidualParts> residual_parts() const override;
  std::vector<std::string> sites() const override;
  void set_prefix(Prefix prefix) override;

 protected:
  at::Tensor embed_at(std::int64_t position, const at::Tensor& tokens, Tap& tap) const override;
  at::Tensor block(std::int64_t index, const at::Tensor& hidden, Past& past,
                   Tap& tap) const override;
  at::Tensor logits(const at::Tensor& hidden, Tap& tap) const override;
  std::string embedding() const override { return "model.decoder.embed_tokens.weight"; }

 private:
  at::Tensor attention(std::int64_t index, const at::Tensor& x, Past& past, Tap& tap) const;
  void build_norm(Builder& build, const std::string& name, Norm& norm) const;

  Json configuration_;
  NetworkInfo info_;
  std::int64_t width_ = 0;
  std::int64_t heads_ = 0;
  at::Tensor embedding_, positions_;
  std::shared_ptr<const BlockRotation> rotation_;  // of a rotated network
  std::vector<Block> blocks_;
  Norm norm_;
  Linear lm_head_;  // without a weight if tied, without a bias unless rotated
};

void Opt::build_norm(Builder& build, const std::string& name, Norm& norm) const {
  if (rotation_) {
    build.rms_norm(name, norm.rotated, width_, kEps);
  } else {
    build.layer_norm(name, norm.plain, width_, kEps);
  }
}

Opt::Opt(const Json& configuration, bool allocate) : configuration_(configuration) {
  const Configuration c = read_configuration(configuration);
  if (!configuration_.contains("model_type")) configuration_["model_type"] = "opt";
  width_ = c.integer("hidden_size");
  heads_ = c.integer("num_attention_heads");
  info_ = {.family = "opt",
           .task = Task::kLanguage,
           .outputs = c.integer("vocab_size"),
           .context = c.integer("max_position_embeddings"),
           .learned_positions = true};
  if (c.flag("rotated"))
    rotation_ = std::make_shared<BlockRotation>(heads_, width_ / heads_, c.integer("ffn_dim"));
  Builder build(parameters_, buffers_, allocate);
  build.parameter("model.decoder.embed_tokens.weight", embedding_, {info_.outputs, width_});
  build.parameter("model.decoder.embed_positions.weight", positions_,
                  {info_.context + kPositionOffset, width_});
  blocks_.resize(static_cast<std::size_t>(c.integer("num_hidden_layers")));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block& b = blocks_[i];
    b.name_sites(block_prefix(i));
    const std::string prefix = layer_prefix(i);
    build.linear(prefix + "self_attn.q_proj", b.q, width_, width_);
    build.linear(prefix + "self_attn.k_proj", b.k, width_, width_);
    build.linear(prefix + "self_attn.v_proj", b.v, width_, width_);
    build.linear(prefix + "self_attn.out_proj", b.out, width_, width_);
    build_norm(build, prefix + "self_attn_layer_norm", b.attention_norm);
    build.linear(prefix + "fc1", b.fc1, width_, c.integer("ffn_dim"));
    build.linear(prefix + "fc2", b.fc2, c.integer("ffn_dim"), width_);
    build_norm(build, prefix + "final_layer_norm", b.final_norm);
  }
  build_norm(build, "model.decoder.final_layer_norm", norm_);
  if (!c.flag("tie_word_embeddings"))
    build.linear("lm_head", lm_head_, width_, info_.outputs, rotation_ != nullptr);
}

at::Tensor Opt::embed_at(std::int64_t position, const at::Tensor& tokens, Tap& tap) const {
  return tap("embed.out",
             add_into(at::embedding(embedding_, tokens),
                      positions_.narrow(0, kPositionOffset + position, tokens.size(1))));
}

at::Tensor Opt::attention(std::int64_t index, const at::Tensor& x, Past& past, Tap& tap) const {
  const Block& b = blocks_[static_cast<std::size_t>(index)];
  const std::int64_t batch = x.size(0);
  const std::int64_t length = x.size(1);
  const auto heads = [&](const at::Tensor& y) {  // [B, H, T, d]
    return y.reshape({batch, length, heads_, width_ / heads_}).transpose(1, 2);
  };
  const auto turned = [&](const at::Tensor& y) { return rotation_ ? rotation_->head(y) : y; };
  const at::Tensor q = turned(heads(tap(b.q_out, b.q(x))));
  const at::Tensor k = turned(heads(tap(b.k_out, b.k(x))));
  const at::Tensor v = heads(tap(b.v_out, b.v(x)));
  const KeyValues all = past.extended(index, {tap(b.k_cache, k), tap(b.v_cache, v)});
  const std::int64_t head_dim = width_ / heads_;  // a whole number: read_configuration
  const double scale = 1.0 / std::sqrt(static_cast<double>(head_dim));
  const at::Tensor mixed = causal_attention(q, all.keys, all.values, scale, b.probabilities, tap);
  at::Tensor joined = mixed.transpose(1, 2).reshape({batch, length, width_});
  if (rotation_) joined = rotation_->joined(joined);
  return tap(b.out_out, b.out(tap(b.out_in, joined)));
}

at::Tensor Opt::block(std::int64_t index, const at::Tensor& hidden, Past& past, Tap& tap) const {
  const Block& b = blocks_.at(static_cast<std::size_t>(index));
  const at::Tensor x = tap(b.in, hidden);
  at::Tensor y = attention(index, tap(b.q_in, b.attention_norm(x)), past, tap);
  const at::Tensor middle = tap(b.residual, add_into(std::move(y), x));
  y = apply_relu(tap(b.fc1_out, b.fc1(tap(b.fc1_in, b.final_norm(middle)))));
  if (rotation_) y = rotation_->mlp(y);
  return add_into(tap(b.fc2_out, b.fc2(tap(b.fc2_in, y))), middle);
}

at::Tensor Opt::logits(const at::Tensor& hidden, Tap& tap) const {
  const at::Tensor x = tap("head.in", norm_(tap("norm.in", hidden)));
  return tap("head.out", lm_head_.weight.defined() ? lm_head_(x) : at::linear(x, embedding_));
}

void Opt::set_prefix(Prefix prefix) {
  const std::int64_t positions = positions_.size(0) - kPositionOffset;
  if (prefix.length() >= positions) {
    throw Error(ErrorKind::kData, fmt::format("a prefix of {} tokens leaves none of the network's "
                                              "{} positions to a sequence",
                                              prefix.length(), positions));
  }
  Decoder::set_prefix(std::move(prefix));
  info_.context = positions - prefix_.length();
}

std::vector<Layer> Opt::layers() const {
  return block_layers<Block>(blocks_, layer_prefix,
                             {{"self_attn.q_proj", &Block::q_in, &Block::q_out},
                              {"self_attn.k_proj", &Block::q_in, &Block::k_out},
                              {"self_attn.v_proj", &Block::q_in, &Block::v_out},
                              {"self_attn.out_proj", &Block::out_in, &Block::out_out},
                              {"fc1", &Block::fc1_in, &Block::fc1_out},
                              {"fc2", &Block::fc2_in, &Block::fc2_out}});
}

std::optional<AttentionParts> Opt::attention_parts(std::int64_t unit) const {
  const std::size_t index = static_cast<std::size_t>(unit);
  const Block& b = blocks_.at(index);
  AttentionParts parts =
      attention_named(layer_prefix(index), "self_attn.out_proj", heads_, heads_, width_ / heads_);
  parts.queries = b.q_out, parts.keys = b.k_out, parts.probabilities = b.probabilities;
  parts.key_cache = b.k_cache, parts.value_cache = b.v_cache;
  parts.rotation = rotation_;
  return parts;
}

std::vector<ScaleGroup> Opt::scale_groups() const {
  std::vector<ScaleGroup> all;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::string p = layer_prefix(i), a = p + "self_attn.";
    const auto both = [](const std::string& name) {
      return std::vector<std::string>{name + ".weight", name + ".bias"};
    };
    const auto norm = [&](const std::string& name) {
      return rotation_ ? std::vector<std::string>{name + ".weight"} : both(name);
    };
    all.push_back(scale_group_of_projections(p, norm(p + "self_attn_layer_norm")));
    // What is rotated in between has no channels in common with what stands before.
    if (!rotation_) all.push_back({{a + "out_proj"}, both(a + "v_proj")});
    all.push_back({{p + "fc1"}, norm(p + "final_layer_norm"), true});
    if (!rotation_) all.push_back({{p + "fc2"}, both(p + "fc1")});  // ReLU commutes with s > 0
  }
  return all;
}

std::optional<ResidualParts> Opt::residual_parts() const {
  ResidualParts parts{
      .embeddings = {"model.decoder.embed_tokens.weight", "model.decoder.embed_positions.weight"},
      .centred = rotation_ == nullptr};
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::string p = layer_prefix(i), a = p + "self_attn.";
    parts.readers.push_back(
        {p + "self_attn_layer_norm", {a + "q_proj", a + "k_proj", a + "v_proj"}});
    parts.readers.push_back({p + "final_layer_norm", {p + "fc1"}});
    parts.writers.insert(parts.writers.end(), {a + "out_proj", p + "fc2"});
  }
  parts.readers.push_back({"model.decoder.final_layer_norm", {"lm_head"}});
  return parts;
}

std::vector<std::string> Opt::sites() const {
  std::vector<std::string> all;
  for (const Block& b : blocks_) all.insert(all.end(), {b.q_in, b.out_in, b.fc1_in, b.fc2_in});
  return all;
}

std::unique_ptr<Network> make(const Json& configuration, bool allocate) {
  return std::make_unique<Opt>(configuration, allocate);
}

at::Tensor initial(const Network& network, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  return initial_of_decoder(name, like, network.configuration().value("init_std", 0.02), random);
}

}  // namespace

Family opt_family() {
  return {.declaration = {.name = "opt",
                          .title = "OPT language models",
                          .task = "language",
                          .model_types = {"opt"},
                          .configuration = fields(),
                          .context = "max_position_embeddings"},
          .make = make,
          .rename = keep_name,
          .initial = initial,
          .describes = [](const Json&) { return false; }};
}

}  // namespace assay::models
