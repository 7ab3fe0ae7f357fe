#pragma once

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

// OmniQuant of one OPT block, written as its paper and release say, on tensors alone: no network,
// no taps, no shared grids. One sequence a step, weights by row or by groups that divide their
// columns.

namespace assay::omniquant::plain {

using Tensors = std::map<std::string, at::Tensor>;

inline constexpr double kRmsEpsilon = 1e-6;

struct Settings {
  int weight_bits = 3;
  int activation_bits = 16;
  std::int64_t heads = 2, kv_heads = 2;
  std::int64_t group = -1;
  double alpha = 0.5;
  std::int64_t epochs = 2;
  bool let = true, lwc = true, bmm = true, augment = false;
};

struct Outcome {
  std::vector<double> epoch_losses;
  Tensors weights;     // fake-quantized, by layer
  Tensors parameters;  // norms and biases
  Tensors learned;     // what was trained
};

inline at::Tensor ste(const at::Tensor& x) { return (x.round() - x).detach() + x; }

// Gradients pass at both ends too.
inline at::Tensor clamped(const at::Tensor& code, double highest) {
  const at::Tensor low = at::zeros_like(code), high = at::full_like(code, highest);
  return at::where(code < low, low, at::where(code > high, high, code));
}

inline at::Tensor round_token(const at::Tensor& x, int bits) {
  if (bits == 16) return x;
  const at::Tensor low = x.amin(-1, true).clamp_max(0), high = x.amax(-1, true).clamp_min(0);
  const at::Tensor scale = (high - low) / (std::pow(2.0, bits) - 1);
  const at::Tensor zero = (-low / scale).round().detach();
  return (clamped(ste(x / scale) + zero, std::pow(2.0, bits) - 1) - zero) * scale;
}

inline at::Tensor round_weight(const at::Tensor& w, const at::Tensor& high_logit,
                               const at::Tensor& low_logit, const Settings& settings) {
  const at::Tensor rows =
      settings.group < 0 ? w : w.reshape({-1, settings.group});  // as the release lays groups out
  at::Tensor high = rows.amax(-1, true), low = rows.amin(-1, true);
  if (high_logit.defined()) high = high_logit.reshape({-1, 1}).sigmoid() * high;
  if (low_logit.defined()) low = low_logit.reshape({-1, 1}).sigmoid() * low;
  const double levels = std::pow(2.0, settings.weight_bits) - 1;
  const at::Tensor scale = ((high - low) / levels).clamp(1e-5, 1e4);
  const at::Tensor zero = (-low / scale).round().detach();
  return ((clamped(ste(rows / scale) + zero, levels) - zero) * scale).reshape(w.sizes());
}

// LayerNorm, or RMSNorm where there is no bias.
inline at::Tensor norm(const Tensors& p, const std::string& name, const at::Tensor& x) {
  if (!p.contains(name + ".b")) {
    return x / (x.square().mean(-1, true) + kRmsEpsilon).sqrt() * p.at(name + ".w");
  }
  const at::Tensor centred = x - x.mean(-1, true);
  const at::Tensor deviation = (centred.square().mean(-1, true) + 1e-5).sqrt();
  return centred / deviation * p.at(name + ".w") + p.at(name + ".b");
}

// Of one head, [T, width]; channels j and j + width / 2 turn by position * 10000^(-2 j / width).
inline at::Tensor turned(const at::Tensor& x) {
  const std::int64_t half = x.size(1) / 2;
  const at::Tensor frequency =
      at::pow(10000.0, at::arange(half, x.options()) * (-2.0 / static_cast<double>(x.size(1))));
  const at::Tensor angle = at::arange(x.size(0), x.options()).unsqueeze(1) * frequency;
  const at::Tensor low = x.narrow(1, 0, half), high = x.narrow(1, half, half);
  return at::cat({low * angle.cos() - high * angle.sin(), high * angle.cos() + low * angle.sin()},
                 1);
}

// Weights, norms and biases under "q.w", "q.b", .., "norm1.w", ..; x [T, d].
inline at::Tensor block(const Tensors& p, const at::Tensor& x, const Settings& settings,
                        bool rounded) {
  const int bits = rounded ? settings.activation_bits : 16;
  const int inner = settings.bmm ? bits : 16;
  const auto linear = [&](const std::string& name, const at::Tensor& in) {
    const at::Tensor out = at::matmul(in, p.at(name + ".w").t());
    return p.contains(name + ".b") ? out + p.at(name + ".b") : out;
  };
  const bool llama = p.contains("gate.w");
  const at::Tensor h = round_token(norm(p, "norm1", x), bits);
  at::Tensor q = linear("q", h), k = linear("k", h);
  const at::Tensor v = round_token(linear("v", h), inner);
  if (!llama) q = round_token(q, inner), k = round_token(k, inner);
  const std::int64_t length = x.size(0), width = q.size(1) / settings.heads;
  const std::int64_t shared = settings.heads / settings.kv_heads;
  std::vector<at::Tensor> mixed;
  for (std::int64_t head = 0; head < settings.heads; ++head) {
    const auto part = [&](const at::Tensor& all, std::int64_t of) {
      return all.narrow(1, of * width, width);
    };
    at::Tensor query = part(q, head), key = part(k, head / shared);
    if (llama) query = round_token(turned(query), inner), key = round_token(turned(key), inner);
    const at::Tensor scores = at::matmul(query, key.t()) / std::sqrt(static_cast<double>(width));
    const at::Tensor later = at::ones({length, length}, at::kBool).triu(1);
    mixed.push_back(
        at::matmul(scores.masked_fill(later, -INFINITY).softmax(-1), part(v, head / shared)));
  }
  const at::Tensor middle = x + linear("out", round_token(at::cat(mixed, 1), bits));
  const at::Tensor u = round_token(norm(p, "norm2", middle), bits);
  if (!llama) return middle + linear("fc2", round_token(linear("fc1", u).relu(), bits));
  const at::Tensor gate = linear("gate", u);
  return middle + linear("down", round_token(gate * gate.sigmoid() * linear("up", u), bits));
}

// Layers that share an input whose channels are changed, by the first.
inline std::map<std::string, std::vector<std::string>> groups_of(const Tensors& p,
                                                                 const Settings& settings) {
  std::map<std::string, std::vector<std::string>> groups = {{"q", {"q", "k", "v"}}};
  if (settings.heads == settings.kv_heads) groups["out"] = {"out"};
  if (p.contains("gate.w")) {
    groups["gate"] = {"gate", "up"};
  } else {
    groups["fc1"] = {"fc1"};
  }
  return groups;
}

// The transformation of the block's float tensors by what is learned.
inline Tensors smoothed(Tensors p, const Tensors& learned, const Settings& settings) {
  const auto groups = groups_of(p, settings);
  const auto change = [&](const std::string& name, const std::string& before) {
    const at::Tensor& s = learned.at(name + ".s");
    const at::Tensor shift = learned.contains(name + ".d") ? learned.at(name + ".d") : s * 0;
    const bool weight = p.at(before + ".w").dim() == 2;
    if (p.contains(before + ".b")) p[before + ".b"] = (p[before + ".b"] - shift) / s;
    p[before + ".w"] = p[before + ".w"] / (weight ? s.unsqueeze(1) : s);
    for (const std::string& layer : groups.at(name)) {
      if (p.contains(layer + ".b")) {
        p[layer + ".b"] = p[layer + ".b"] + at::matmul(p[layer + ".w"], shift);
      }
      p[layer + ".w"] = p[layer + ".w"] * s;
    }
  };
  change("q", "norm1");
  if (learned.contains("out.s")) change("out", "v");
  change(p.contains("gate.w") ? "gate" : "fc1", "norm2");
  if (!learned.contains("qk.s")) return p;
  at::Tensor keys = learned.at("qk.s");  // [kv_heads, channels]
  if (p.contains("gate.w")) keys = at::cat({keys, keys}, 1);
  const at::Tensor queries =
      keys.repeat_interleave(settings.heads / settings.kv_heads, 0).reshape({-1});
  keys = keys.reshape({-1});
  p["q.w"] = p["q.w"] / queries.unsqueeze(1);
  p["k.w"] = p["k.w"] * keys.unsqueeze(1);
  if (p.contains("q.b")) p["q.b"] = p["q.b"] / queries, p["k.b"] = p["k.b"] * keys;
  return p;
}

inline std::vector<std::string> layer_names(const Tensors& p) {
  std::vector<std::string> names = {"q", "k", "v", "out"};
  for (const char* other : {"fc1", "fc2", "gate", "up", "down"}) {
    if (p.contains(std::string(other) + ".w")) names.emplace_back(other);
  }
  return names;
}

inline Tensors rounded(const Tensors& p, const Tensors& learned, const Settings& settings) {
  Tensors out = settings.let ? smoothed(p, learned, settings) : p;
  for (const std::string& layer : layer_names(p)) {
    const auto logits = [&](const char* end) {
      return settings.lwc ? learned.at(layer + end) : at::Tensor();
    };
    out[layer + ".w"] = round_weight(out[layer + ".w"], logits(".hi"), logits(".lo"), settings);
  }
  return out;
}

// What the float block hands to its layers, for the start of scales and shifts.
inline Tensors inputs_of(const Tensors& p, const at::Tensor& x, const Settings& settings) {
  const bool llama = p.contains("gate.w");
  Tensors first = p;  // without its MLP
  for (const char* name : {"fc2.w", "fc2.b", "down.w"}) {
    if (p.contains(name)) first[name] = p.at(name) * 0;
  }
  Tensors in;
  in["q"] = norm(p, "norm1", x);
  in[llama ? "gate" : "fc1"] = norm(p, "norm2", block(first, x, settings, false));
  if (settings.heads == settings.kv_heads) {
    // The input of the output projection is what a projection by the identity returns.
    first["out.w"] = at::eye(x.size(1), x.options());
    if (p.contains("out.b")) first["out.b"] = p.at("out.b") * 0;
    in["out"] = block(first, x, settings, false) - x;
  }
  return in;
}

inline Tensors start(const Tensors& p, const std::vector<at::Tensor>& float_inputs,
                     const Settings& settings) {
  Tensors largest, middle, learned;
  for (const at::Tensor& x : float_inputs) {
    for (const auto& [name, in] : inputs_of(p, x, settings)) {
      const at::Tensor size = in.abs().amax(0), centre = (in.amax(0) + in.amin(0)) / 2;
      const bool known = largest.contains(name);
      largest[name] = known ? at::maximum(largest[name], size) : size;
      middle[name] = known ? middle[name] * 0.99 + centre * 0.01 : centre;
    }
  }
  for (const auto& [name, layers] : groups_of(p, settings)) {
    if (!settings.let) break;
    at::Tensor w = at::zeros_like(largest[name]);
    for (const std::string& layer : layers) w = at::maximum(w, p.at(layer + ".w").abs().amax(0));
    learned[name + ".s"] =
        (largest[name].pow(settings.alpha) / w.pow(1 - settings.alpha)).clamp_min(0.01);
    const bool biases = p.contains("norm1.b");
    if (settings.activation_bits < 16 && biases) learned[name + ".d"] = middle[name];
  }
  if (settings.let && settings.activation_bits < 16 && settings.bmm) {
    const at::Tensor& k = p.at("k.w");
    const std::int64_t width = k.size(0) / settings.kv_heads / (p.contains("gate.w") ? 2 : 1);
    learned["qk.s"] = at::ones({settings.kv_heads, width}, k.options());
  }
  for (const std::string& layer : layer_names(p)) {
    if (!settings.lwc) break;
    const at::Tensor& w = p.at(layer + ".w");
    const std::int64_t groups = settings.group < 0 ? 1 : w.size(1) / settings.group;
    learned[layer + ".hi"] = at::full({w.size(0), groups}, 4.0, w.options());
    learned[layer + ".lo"] = at::full({w.size(0), groups}, 4.0, w.options());
  }
  return learned;
}

// inputs: of the quantized network, float_inputs of the float one, [T, d] each.
inline Outcome train(const Tensors& p, const std::vector<at::Tensor>& inputs,
                     const std::vector<at::Tensor>& float_inputs, const Settings& settings) {
  Outcome outcome{.learned = start(p, float_inputs, settings)};
  Tensors& learned = outcome.learned;
  Tensors first, second;
  for (auto& [name, value] : learned) {
    value = value.detach().clone().set_requires_grad(true);
    first[name] = at::zeros_like(value), second[name] = at::zeros_like(value);
  }
  double t = 0;
  for (std::int64_t epoch = 0; epoch < settings.epochs; ++epoch) {
    double sum = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const at::AutoGradMode gradients(true);
      const at::Tensor out = block(rounded(p, learned, settings), inputs[i], settings, true);
      at::Tensor loss = (out - block(p, float_inputs[i], settings, false)).square().mean();
      if (settings.augment) {
        loss = loss + (out - block(p, inputs[i], settings, false)).square().mean();
      }
      loss.backward();
      sum += loss.item<double>();
      ++t;
      const at::NoGradGuard no_gradients;
      for (auto& [name, value] : learned) {
        const at::Tensor g = value.grad();
        const bool channels = name.ends_with(".s") || name.ends_with(".d");
        first[name] = 0.9 * first[name] + 0.1 * g;
        second[name] = 0.999 * second[name] + 0.001 * g * g;
        const at::Tensor move = first[name] / (1 - std::pow(0.9, t)) /
                                ((second[name] / (1 - std::pow(0.999, t))).sqrt() + 1e-8);
        value.sub_(move * (channels ? 5e-3 : 1e-2));
        if (name.ends_with(".s")) value.clamp_min_(0.01);
        value.mutable_grad() = at::Tensor();
      }
    }
    outcome.epoch_losses.push_back(sum / static_cast<double>(inputs.size()));
  }
  const at::NoGradGuard no_gradients;
  for (const auto& [name, value] : rounded(p, learned, settings)) {
    const bool weight = name.ends_with(".w") && !name.starts_with("norm");
    (weight ? outcome.weights : outcome.parameters)[name] = value;
  }
  return outcome;
}

}  // namespace assay::omniquant::plain
