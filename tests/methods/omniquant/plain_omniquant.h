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

struct Settings {
  int weight_bits = 3;
  int activation_bits = 16;
  std::int64_t heads = 2;
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

inline at::Tensor round_token(const at::Tensor& x, int bits) {
  if (bits == 16) return x;
  const at::Tensor low = x.amin(-1, true).clamp_max(0), high = x.amax(-1, true).clamp_min(0);
  const at::Tensor scale = (high - low) / (std::pow(2.0, bits) - 1);
  const at::Tensor zero = (-low / scale).round().detach();
  return ((ste(x / scale) + zero).clamp(0, std::pow(2.0, bits) - 1) - zero) * scale;
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
  return (((ste(rows / scale) + zero).clamp(0, levels) - zero) * scale).reshape(w.sizes());
}

inline at::Tensor norm(const at::Tensor& x, const at::Tensor& w, const at::Tensor& b) {
  const at::Tensor centred = x - x.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + 1e-5).sqrt() * w + b;
}

// Weights, norms and biases under "q.w", "q.b", .., "norm1.w", ..; x [T, d].
inline at::Tensor block(const Tensors& p, const at::Tensor& x, const Settings& settings,
                        bool rounded) {
  const int bits = rounded ? settings.activation_bits : 16;
  const int inner = settings.bmm ? bits : 16;
  const auto linear = [&](const std::string& name, const at::Tensor& in) {
    return at::matmul(in, p.at(name + ".w").t()) + p.at(name + ".b");
  };
  const at::Tensor h = round_token(norm(x, p.at("norm1.w"), p.at("norm1.b")), bits);
  const at::Tensor q = round_token(linear("q", h), inner);
  const at::Tensor k = round_token(linear("k", h), inner);
  const at::Tensor v = round_token(linear("v", h), inner);
  const std::int64_t length = x.size(0), width = x.size(1) / settings.heads;
  std::vector<at::Tensor> mixed;
  for (std::int64_t head = 0; head < settings.heads; ++head) {
    const auto part = [&](const at::Tensor& all) { return all.narrow(1, head * width, width); };
    const at::Tensor scores =
        at::matmul(part(q), part(k).t()) / std::sqrt(static_cast<double>(width));
    const at::Tensor later = at::ones({length, length}, at::kBool).triu(1);
    mixed.push_back(at::matmul(scores.masked_fill(later, -INFINITY).softmax(-1), part(v)));
  }
  const at::Tensor middle = x + linear("out", round_token(at::cat(mixed, 1), bits));
  const at::Tensor u = round_token(norm(middle, p.at("norm2.w"), p.at("norm2.b")), bits);
  return middle + linear("fc2", round_token(linear("fc1", u).relu(), bits));
}

// The transformation of the block's float tensors by what is learned.
inline Tensors smoothed(Tensors p, const Tensors& learned) {
  const auto behind_norm = [&](const std::string& norm_name, const std::vector<std::string>& layers,
                               const std::string& name) {
    const at::Tensor& s = learned.at(name + ".s");
    const at::Tensor shift = learned.contains(name + ".d") ? learned.at(name + ".d") : s * 0;
    p[norm_name + ".b"] = (p[norm_name + ".b"] - shift) / s;
    p[norm_name + ".w"] = p[norm_name + ".w"] / s;
    for (const std::string& layer : layers) {
      p[layer + ".b"] = p[layer + ".b"] + at::matmul(p[layer + ".w"], shift);
      p[layer + ".w"] = p[layer + ".w"] * s;
    }
  };
  behind_norm("norm1", {"q", "k", "v"}, "qkv");
  behind_norm("norm2", {"fc1"}, "fc1");
  const at::Tensor& s = learned.at("out.s");
  const at::Tensor shift = learned.contains("out.d") ? learned.at("out.d") : s * 0;
  p["v.b"] = (p["v.b"] - shift) / s;
  p["v.w"] = p["v.w"] / s.unsqueeze(1);
  p["out.b"] = p["out.b"] + at::matmul(p["out.w"], shift);
  p["out.w"] = p["out.w"] * s;
  if (learned.contains("qk.s")) {
    const at::Tensor& between = learned.at("qk.s");
    p["q.w"] = p["q.w"] / between.unsqueeze(1), p["q.b"] = p["q.b"] / between;
    p["k.w"] = p["k.w"] * between.unsqueeze(1), p["k.b"] = p["k.b"] * between;
  }
  return p;
}

inline const std::vector<std::string>& layer_names() {
  static const std::vector<std::string> names = {"q", "k", "v", "out", "fc1", "fc2"};
  return names;
}

inline Tensors rounded(const Tensors& p, const Tensors& learned, const Settings& settings) {
  Tensors out = settings.let ? smoothed(p, learned) : p;
  for (const std::string& layer : layer_names()) {
    const auto logits = [&](const char* end) {
      return settings.lwc ? learned.at(layer + end) : at::Tensor();
    };
    out[layer + ".w"] = round_weight(out[layer + ".w"], logits(".hi"), logits(".lo"), settings);
  }
  return out;
}

// What the float block hands to its layers, for the start of scales and shifts.
inline Tensors inputs_of(const Tensors& p, const at::Tensor& x, const Settings& settings) {
  Tensors in;
  in["qkv"] = norm(x, p.at("norm1.w"), p.at("norm1.b"));
  Tensors eye = p;
  // The input of the output projection is what a projection by the identity returns.
  eye["out.w"] = at::eye(x.size(1), x.options());
  eye["out.b"] = p.at("out.b") * 0;
  eye["fc2.w"] = p.at("fc2.w") * 0;
  eye["fc2.b"] = p.at("fc2.b") * 0;
  in["out"] = block(eye, x, settings, false) - x;
  Tensors first = p;
  first["fc2.w"] = p.at("fc2.w") * 0;
  first["fc2.b"] = p.at("fc2.b") * 0;
  in["fc1"] = norm(block(first, x, settings, false), p.at("norm2.w"), p.at("norm2.b"));
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
  const std::map<std::string, std::vector<std::string>> behind = {
      {"qkv", {"q", "k", "v"}}, {"out", {"out"}}, {"fc1", {"fc1"}}};
  for (const auto& [name, layers] : behind) {
    if (!settings.let) break;
    at::Tensor w = at::zeros_like(largest[name]);
    for (const std::string& layer : layers) w = at::maximum(w, p.at(layer + ".w").abs().amax(0));
    learned[name + ".s"] =
        (largest[name].pow(settings.alpha) / w.pow(1 - settings.alpha)).clamp_min(0.01);
    if (settings.activation_bits < 16) learned[name + ".d"] = middle[name];
  }
  if (settings.let && settings.activation_bits < 16 && settings.bmm) {
    learned["qk.s"] = at::ones_like(learned["qkv.s"]);
  }
  for (const std::string& layer : layer_names()) {
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
