#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/family.h"
#include "harness/models/image_configuration.h"
#include "harness/models/kernels/attention.h"
#include "harness/models/layers.h"
#include "harness/models/random_tensor.h"
#include "harness/models/vit_configuration.h"

// ViT (Dosovitskiy et al. 2021), DeiT (Touvron et al. 2021, also distilled) and DeiT-III (Touvron
// et al. 2022), with the parameter names of timm.

namespace assay::models {
namespace {

struct Block {
  LayerNorm norm1, norm2;
  Linear qkv, proj, fc1, fc2;
  at::Tensor gamma1, gamma2;  // [D], undefined without LayerScale

  // Sites, made once.
  std::string norm1_out, qkv_out, q, k, v, qk, logits, probs, av, proj_in, proj_out, residual1;
  std::string norm2_out, fc1_out, act_out, fc2_out, residual2;

  void name_sites(const std::string& prefix) {
    norm1_out = prefix + "norm1.out";
    qkv_out = prefix + "attn.qkv.out";
    q = prefix + "attn.q";
    k = prefix + "attn.k";
    v = prefix + "attn.v";
    qk = prefix + "attn.qk";
    logits = prefix + "attn.logits";
    probs = prefix + "attn.probs";
    av = prefix + "attn.av";
    proj_in = prefix + "attn.proj.in";
    proj_out = prefix + "attn.proj.out";
    residual1 = prefix + "residual1";
    norm2_out = prefix + "norm2.out";
    fc1_out = prefix + "mlp.fc1.out";
    act_out = prefix + "mlp.act.out";
    fc2_out = prefix + "mlp.fc2.out";
    residual2 = prefix + "residual2";
  }
};

std::string block_prefix(std::size_t index) { return fmt::format("blocks.{}.", index); }

class Vit final : public Network {
 public:
  Vit(const Json& configuration, bool allocate);

  const NetworkInfo& info() const override { return info_; }
  const Json& configuration() const override { return config_.normal_form; }
  at::Tensor embed(const at::Tensor& input, Tap& tap) const override;
  std::int64_t unit_count() const override { return config_.depth; }
  at::Tensor unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const override;
  at::Tensor head(const at::Tensor& hidden, Tap& tap) const override;
  using Network::forward;
  at::Tensor forward(const at::Tensor& input, Tap& tap) const override;
  std::vector<Layer> layers() const override;
  std::vector<std::string> sites() const override;

 private:
  at::Tensor attention(const Block& block, const at::Tensor& x, Tap& tap) const;
  at::Tensor after_attention(const Block& block, at::Tensor x, const at::Tensor& hidden,
                             Tap& tap) const;
  at::Tensor last_unit(const at::Tensor& hidden, Tap& passive) const;
  at::Tensor mlp(const Block& block, const at::Tensor& x, Tap& tap) const;

  VitConfiguration config_;
  NetworkInfo info_;
  at::Tensor cls_token_, dist_token_, pos_embed_;
  Convolution patch_;
  std::vector<Block> blocks_;
  LayerNorm norm_;
  Linear head_, head_dist_;
};

Vit::Vit(const Json& configuration, bool allocate) : config_(vit_configuration(configuration)) {
  const VitConfiguration& c = config_;
  info_ = c.info;
  Builder build(parameters_, buffers_, allocate);
  build.parameter("cls_token", cls_token_, {1, 1, c.embed_dim});
  if (c.distilled) build.parameter("dist_token", dist_token_, {1, 1, c.embed_dim});
  build.parameter("pos_embed", pos_embed_,
                  {1, c.patches() + (c.class_position ? c.prefix_tokens() : 0), c.embed_dim});
  patch_.stride = c.patch_size;
  build.convolution("patch_embed.proj", patch_, info_.input[0], c.embed_dim, c.patch_size, true);
  blocks_.resize(static_cast<std::size_t>(c.depth));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    Block& block = blocks_[i];
    const std::string prefix = block_prefix(i);
    block.name_sites(prefix);
    build.layer_norm(prefix + "norm1", block.norm1, c.embed_dim, c.norm_eps);
    build.linear(prefix + "attn.qkv", block.qkv, c.embed_dim, 3 * c.embed_dim, c.qkv_bias);
    build.linear(prefix + "attn.proj", block.proj, c.embed_dim, c.embed_dim);
    build.layer_norm(prefix + "norm2", block.norm2, c.embed_dim, c.norm_eps);
    build.linear(prefix + "mlp.fc1", block.fc1, c.embed_dim, c.hidden_dim);
    build.linear(prefix + "mlp.fc2", block.fc2, c.hidden_dim, c.embed_dim);
    if (!c.layer_scale) continue;
    build.parameter(prefix + "ls1.gamma", block.gamma1, {c.embed_dim});
    build.parameter(prefix + "ls2.gamma", block.gamma2, {c.embed_dim});
  }
  build.layer_norm("norm", norm_, c.embed_dim, c.norm_eps);
  build.linear("head", head_, c.embed_dim, info_.outputs);
  if (c.distilled) build.linear("head_dist", head_dist_, c.embed_dim, info_.outputs);
}

at::Tensor Vit::embed(const at::Tensor& input, Tap& tap) const {
  check_images(input, info_, /*exact=*/true);
  at::Tensor x = tap("input", input);
  x = patch_(x).flatten(2).transpose(1, 2);  // [B, n, D]
  x = tap("patch_embed.proj.out", x);
  std::vector<at::Tensor> tokens{cls_token_.expand({x.size(0), -1, -1})};
  if (config_.distilled) tokens.push_back(dist_token_.expand({x.size(0), -1, -1}));
  if (config_.class_position) {
    tokens.push_back(std::move(x));
    x = tap("embed.concat", at::cat(tokens, 1));
    return tap("embed.out", add_into(std::move(x), tap("embed.pos", pos_embed_)));
  }
  x = tap("embed.out", add_into(std::move(x), tap("embed.pos", pos_embed_)));
  tokens.push_back(std::move(x));
  return tap("embed.concat", at::cat(tokens, 1));
}

at::Tensor Vit::attention(const Block& block, const at::Tensor& x, Tap& tap) const {
  const std::int64_t batch = x.size(0);
  const std::int64_t tokens = x.size(1);
  const std::int64_t width = config_.embed_dim / config_.num_heads;
  const at::Tensor qkv = tap(block.qkv_out, block.qkv(x));
  const std::vector<at::Tensor> parts =
      qkv.reshape({batch, tokens, 3, config_.num_heads, width}).permute({2, 0, 3, 1, 4}).unbind(0);
  const at::Tensor q = tap(block.q, parts[0]);  // [B, h, N, d]
  const at::Tensor k = tap(block.k, parts[1]);
  const at::Tensor v = tap(block.v, parts[2]);
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  at::Tensor av;
  if (tap.wants(block.qk) || tap.wants(block.logits) || tap.wants(block.probs)) {
    const at::Tensor qk = tap(block.qk, at::matmul(q, k.transpose(-2, -1)));
    const at::Tensor logits = tap(block.logits, qk * scale);
    av = at::matmul(tap(block.probs, logits.softmax(-1)), v);
  } else {
    av = kernels::attention(q, k, v, scale, /*causal=*/false);
  }
  av = tap(block.av, av);
  const at::Tensor joined = av.transpose(1, 2).reshape({batch, tokens, config_.embed_dim});
  return tap(block.proj_out, block.proj(tap(block.proj_in, joined)));
}

at::Tensor Vit::mlp(const Block& block, const at::Tensor& x, Tap& tap) const {
  at::Tensor y = tap(block.fc1_out, block.fc1(x));
  y = tap(block.act_out, apply_gelu(std::move(y)));
  return tap(block.fc2_out, block.fc2(y));
}

at::Tensor Vit::unit(std::int64_t index, const at::Tensor& hidden, Tap& tap) const {
  const Block& block = blocks_.at(static_cast<std::size_t>(index));
  at::Tensor x = attention(block, tap(block.norm1_out, block.norm1(hidden)), tap);
  return after_attention(block, std::move(x), hidden, tap);
}

at::Tensor Vit::after_attention(const Block& block, at::Tensor x, const at::Tensor& hidden,
                                Tap& tap) const {
  if (block.gamma1.defined()) x = scale_by(std::move(x), block.gamma1);
  const at::Tensor middle = tap(block.residual1, add_into(std::move(x), hidden));
  x = mlp(block, tap(block.norm2_out, block.norm2(middle)), tap);
  if (block.gamma2.defined()) x = scale_by(std::move(x), block.gamma2);
  return tap(block.residual2, add_into(std::move(x), middle));
}

// The head reads the prefix tokens alone, so the others enter the last unit as keys and values
// only.
// -> [B, prefix tokens, D]
at::Tensor Vit::last_unit(const at::Tensor& hidden, Tap& passive) const {
  const Block& block = blocks_.back();
  const std::int64_t batch = hidden.size(0);
  const std::int64_t read = config_.prefix_tokens();
  const std::int64_t dim = config_.embed_dim;
  const std::int64_t width = dim / config_.num_heads;
  const auto project = [&](const at::Tensor& x, std::int64_t first, std::int64_t count) {
    const auto rows = [&](const at::Tensor& all) {
      return all.narrow(0, first * dim, count * dim);
    };
    const at::Tensor& bias = block.qkv.bias;
    return Linear{rows(block.qkv.weight), bias.defined() ? rows(bias) : bias}(x)
        .reshape({batch, x.size(1), count, config_.num_heads, width})
        .permute({2, 0, 3, 1, 4});  // [count, B, h, N, d]
  };
  const at::Tensor normed = block.norm1(hidden);
  const at::Tensor q = project(normed.narrow(1, 0, read), 0, 1);
  const at::Tensor kv = project(normed, 1, 2);
  const double scale = 1.0 / std::sqrt(static_cast<double>(width));
  const at::Tensor av = kernels::attention(q[0], kv[0], kv[1], scale, /*causal=*/false);
  at::Tensor x = block.proj(av.transpose(1, 2).reshape({batch, read, dim}));
  return after_attention(block, std::move(x), hidden.narrow(1, 0, read), passive);
}

at::Tensor Vit::forward(const at::Tensor& input, Tap& tap) const {
  if (!tap.passive() || c10::GradMode::is_enabled()) return Network::forward(input, tap);
  at::Tensor hidden = embed(input, tap);
  for (std::int64_t i = 0; i + 1 < unit_count(); ++i) hidden = unit(i, hidden, tap);
  return head(last_unit(hidden, tap), tap);
}

at::Tensor Vit::head(const at::Tensor& hidden, Tap& tap) const {
  at::Tensor x = hidden;
  // Every row is normalised by itself, so the patches are left out unless somebody looks at them.
  if (tap.wants("norm.out"))
    x = tap("norm.out", norm_(x));
  else
    x = norm_(x.narrow(1, 0, config_.prefix_tokens()));
  const at::Tensor logits = tap("head.out", head_(tap("head.in", x.select(1, 0))));
  if (!config_.distilled) return logits;
  const at::Tensor other = tap("head_dist.out", head_dist_(tap("head_dist.in", x.select(1, 1))));
  return (logits + other) / 2;
}

std::vector<Layer> Vit::layers() const {
  std::vector<Layer> all{{.name = "patch_embed.proj",
                          .kind = LayerKind::kConv,
                          .unit = -1,
                          .input_site = "input",
                          .output_site = "patch_embed.proj.out"}};
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const Block& block = blocks_[i];
    const std::string prefix = block_prefix(i);
    const auto add = [&](const char* name, const std::string& in, const std::string& out) {
      all.push_back({.name = prefix + name,
                     .unit = static_cast<std::int64_t>(i),
                     .input_site = in,
                     .output_site = out});
    };
    add("attn.qkv", block.norm1_out, block.qkv_out);
    add("attn.proj", block.proj_in, block.proj_out);
    add("mlp.fc1", block.norm2_out, block.fc1_out);
    add("mlp.fc2", block.act_out, block.fc2_out);
  }
  all.push_back(
      {.name = "head", .unit = unit_count(), .input_site = "head.in", .output_site = "head.out"});
  if (config_.distilled)
    all.push_back({.name = "head_dist",
                   .unit = unit_count(),
                   .input_site = "head_dist.in",
                   .output_site = "head_dist.out"});
  return all;
}

std::vector<std::string> Vit::sites() const {
  std::vector<std::string> all{"input", "patch_embed.proj.out"};
  if (config_.class_position)
    all.insert(all.end(), {"embed.concat", "embed.pos", "embed.out"});
  else
    all.insert(all.end(), {"embed.pos", "embed.out", "embed.concat"});
  for (const Block& b : blocks_)
    all.insert(all.end(), {b.norm1_out, b.qkv_out, b.logits, b.av, b.proj_out, b.residual1,
                           b.norm2_out, b.act_out, b.fc2_out, b.residual2});
  all.insert(all.end(), {"head.in", "head.out"});
  if (config_.distilled) all.insert(all.end(), {"head_dist.in", "head_dist.out"});
  return all;
}

std::unique_ptr<Network> make(const Json& configuration, bool allocate) {
  return std::make_unique<Vit>(configuration, allocate);
}

// Original DeiT-III files keep LayerScale as blocks.i.gamma_1 and gamma_2.
std::string rename(const std::string& name, const std::set<std::string>&) {
  for (const auto& [old, ours] :
       {std::pair{".gamma_1", ".ls1.gamma"}, std::pair{".gamma_2", ".ls2.gamma"}})
    if (name.ends_with(old)) return name.substr(0, name.size() - 8) + ours;
  return name;
}

// timm's: normal 0.02 for linear weights and positions, LayerScale 1e-6, PyTorch's default for the
// patch convolution (uniform within 1 / sqrt(fan in)).
at::Tensor initial(const Network& network, const std::string& name, const at::Tensor& like,
                   Philox& random) {
  const std::vector<std::int64_t> shape = like.sizes().vec();
  if (name.starts_with("patch_embed.proj")) {
    const at::Tensor& weight = network.parameters().at("patch_embed.proj.weight");
    const double bound =
        1.0 / std::sqrt(static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0)));
    return uniform_tensor(random, shape, -bound, bound);
  }
  if (name.ends_with("_token")) return normal_tensor(random, shape, 0.0, 1e-6);
  if (name.ends_with(".gamma")) return at::full(shape, 1e-6);
  if (name.ends_with(".bias")) return at::zeros(shape);
  if (shape.size() == 1) return at::ones(shape);
  return normal_tensor(random, shape, 0.0, 0.02);
}

}  // namespace

Family vit_family() {
  return {.declaration = {.name = "vit",
                          .title = "ViT, DeiT and DeiT-III vision transformers",
                          .task = "classification",
                          .model_types = {"vit"},
                          .configuration = vit_fields()},
          .make = make,
          .rename = rename,
          .initial = initial,
          .describes = describes_vit};
}

}  // namespace assay::models
