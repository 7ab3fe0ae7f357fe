#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/models/network.h"
#include "methods/awq/options.h"

// AWQ as its paper and the release have it, for tests: inputs of all layers are recorded, every
// candidate multiplies them by every weight, grids are loops over numbers, and attention and MLP
// are written out. Nothing of methods/ is used. Float64.
//
// `folded`: scales that channels are multiplied by, those of the method under test, equal to its
// own but for the last bits. Where a limit clips both ends of a group, range and zero point lie on
// a tie of the rounding, so the last bits of a weight decide codes.

namespace assay::awq {

struct PlainLayer {
  at::Tensor value;                 // fake-quantized
  std::vector<std::int64_t> codes;  // row by row
};

struct PlainResult {
  std::map<std::string, at::Tensor> scales;           // by first layer of the group
  std::map<std::string, std::vector<double>> errors;  // of every ratio
  std::map<std::string, PlainLayer> layers;
};

class PlainAwq {
 public:
  PlainAwq(models::Network& network, Options options, std::map<std::string, at::Tensor> folded = {})
      : network_(network), options_(options), folded_(std::move(folded)) {
    for (const auto& [name, slot] : network.parameters().slots()) parameters_[name] = slot->clone();
    llama_ = network.info().family == "llama";
  }

  PlainResult operator()(const at::Tensor& tokens) {
    models::Untapped none;
    at::Tensor hidden = network_.embed(tokens, none);
    for (std::int64_t unit = 0; unit < network_.unit_count(); ++unit) {
      Recorder recorder;
      const at::Tensor output = network_.unit(unit, hidden, recorder);
      quantize(unit, recorder.values);
      hidden = output;
    }
    return result_;
  }

 private:
  using Values = std::map<std::string, at::Tensor, std::less<>>;

  struct Recorder : models::Tap {
    Values values;
    at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
      values[std::string(site)] = value.clone();
      return value;
    }
  };

  struct Rounded {
    double value = 0;
    std::int64_t code = 0;
  };

  // `affine_free` over one run of weights.
  std::vector<Rounded> rounded_run(const std::vector<double>& weights) const {
    double low = weights[0], high = weights[0];
    for (const double w : weights) low = std::fmin(low, w), high = std::fmax(high, w);
    const double most = std::pow(2.0, options_.bits) - 1;
    const double scale = std::fmax(high - low, 1e-5) / most;
    const double zero = std::fmin(std::fmax(-std::nearbyint(low / scale), 0), most);
    std::vector<Rounded> out;
    for (const double w : weights) {
      const double code = std::fmin(std::fmax(std::nearbyint(w / scale) + zero, 0), most);
      out.push_back({scale * (code - zero), static_cast<std::int64_t>(code)});
    }
    return out;
  }

  std::int64_t width(const at::Tensor& weight) const {
    return options_.group < 0 ? weight.size(1) : options_.group;
  }

  PlainLayer rounded(const at::Tensor& weight) const {
    PlainLayer layer{at::empty_like(weight), {}};
    for (std::int64_t row = 0; row < weight.size(0); ++row) {
      for (std::int64_t begin = 0; begin < weight.size(1); begin += width(weight)) {
        const std::int64_t end = std::min(begin + width(weight), weight.size(1));
        std::vector<double> run;
        for (std::int64_t j = begin; j < end; ++j) run.push_back(weight[row][j].item<double>());
        const std::vector<Rounded> values = rounded_run(run);
        for (std::int64_t j = begin; j < end; ++j) {
          const Rounded& each = values[static_cast<std::size_t>(j - begin)];
          layer.value[row][j] = each.value;
          layer.codes.push_back(each.code);
        }
      }
    }
    return layer;
  }

  at::Tensor linear(const std::string& name, const at::Tensor& weight, const at::Tensor& x) const {
    const auto bias = parameters_.find(name + ".bias");
    const at::Tensor y = at::matmul(x, weight.t());
    return bias == parameters_.end() ? y : y + bias->second;
  }

  const at::Tensor& weight(const std::string& name) const {
    return parameters_.at(name + ".weight");
  }

  // Of `replaced`, or else its own.
  at::Tensor apply(const std::string& name, const Values& replaced, const at::Tensor& x) const {
    const auto found = replaced.find(name);
    return linear(name, found == replaced.end() ? weight(name) : found->second, x);
  }

  // Channels i and i + d/2 of a head are turned together.
  static at::Tensor turned(const at::Tensor& x, const std::vector<double>& frequencies) {
    if (frequencies.empty()) return x;
    const std::int64_t half = x.size(-1) / 2;
    const at::Tensor angle =
        at::outer(at::arange(x.size(-2), at::kDouble), at::tensor(frequencies, at::kDouble));
    const at::Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half);
    return at::cat({a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()}, -1);
  }

  at::Tensor attention(const models::AttentionParts& parts, const Values& replaced,
                       const at::Tensor& x) const {
    const auto heads = [&](const std::string& name, std::int64_t count) {
      return apply(name, replaced, x)
          .reshape({x.size(0), x.size(1), count, parts.head_dim})
          .transpose(1, 2);
    };
    const std::int64_t shared = parts.heads / parts.kv_heads;
    const at::Tensor q = turned(heads(parts.q, parts.heads), parts.rotary);
    const at::Tensor k =
        turned(heads(parts.k, parts.kv_heads), parts.rotary).repeat_interleave(shared, 1);
    const at::Tensor v = heads(parts.v, parts.kv_heads).repeat_interleave(shared, 1);
    at::Tensor scores = at::matmul(q, k.transpose(-1, -2)) / std::sqrt(double(parts.head_dim));
    const at::Tensor future = at::ones({x.size(1), x.size(1)}, at::kBool).triu(1);
    scores = scores.masked_fill(future, -std::numeric_limits<double>::infinity());
    const at::Tensor mixed = at::matmul(at::softmax(scores, -1), v).transpose(1, 2);
    return apply(parts.out, replaced, mixed.reshape({x.size(0), x.size(1), -1}));
  }

  at::Tensor mlp(const std::string& prefix, const Values& replaced, const at::Tensor& x) const {
    const at::Tensor gate = apply(prefix + "gate_proj", replaced, x);
    const at::Tensor up = apply(prefix + "up_proj", replaced, x);
    return apply(prefix + "down_proj", replaced, gate / (1 + (-gate).exp()) * up);
  }

  // `output`: of the inspected module with some weights replaced.
  template <typename Output>
  void search(const std::vector<std::string>& layers, const at::Tensor& x, const Output& output) {
    const at::Tensor expected = output(Values{});
    const at::Tensor sizes = x.abs().reshape({-1, x.size(-1)}).mean(0);
    double least = std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < options_.ratios; ++i) {
      at::Tensor s = sizes.pow(double(i) / double(options_.ratios)).clamp_min(1e-4);
      s = s / (s.max() * s.min()).sqrt();
      Values replaced;
      for (const std::string& layer : layers)
        replaced[layer] = rounded(weight(layer) * s).value / s;
      const double error = (output(replaced) - expected).square().mean().template item<double>();
      result_.errors[layers[0]].push_back(error);
      if (error < least) least = error, result_.scales[layers[0]] = s;
    }
  }

  const at::Tensor& scales_of(const std::string& layer) const {
    const auto found = folded_.find(layer);
    return found == folded_.end() ? result_.scales.at(layer) : found->second;
  }

  void fold(const std::vector<std::string>& layers, const std::string& producer) {
    const at::Tensor& s = scales_of(layers[0]);
    for (const std::string& layer : layers) parameters_[layer + ".weight"] = weight(layer) * s;
    at::Tensor& before = parameters_.at(producer + ".weight");
    before = before.dim() == 1 ? before / s : before / s.unsqueeze(1);
    const auto bias = parameters_.find(producer + ".bias");
    if (bias != parameters_.end()) bias->second = bias->second / s;
  }

  // Every stride-th token [m, columns].
  static at::Tensor sampled(const at::Tensor& x) {
    const at::Tensor flat = x.reshape({-1, x.size(-1)});
    const std::int64_t stride = std::max<std::int64_t>(1, flat.size(0) / 512);
    return flat.slice(0, 0, flat.size(0), stride);
  }

  at::Tensor clamped(const at::Tensor& weight, const at::Tensor& x) const {
    at::Tensor out = weight.clone();
    for (std::int64_t row = 0; row < weight.size(0); ++row) {
      for (std::int64_t begin = 0; begin < weight.size(1); begin += width(weight)) {
        const std::int64_t count = std::min(width(weight), weight.size(1) - begin);
        const at::Tensor part = weight[row].narrow(0, begin, count);
        const at::Tensor seen = x.narrow(1, begin, count);
        const double largest = part.abs().max().item<double>();
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t i = 0; i < options_.clip_steps; ++i) {
          const double limit = (1 - double(i) / (2 * double(options_.clip_steps))) * largest;
          const at::Tensor candidate = part.clamp(-limit, limit);
          std::vector<double> run(candidate.data_ptr<double>(),
                                  candidate.data_ptr<double>() + count);
          at::Tensor value = at::empty_like(part);
          const std::vector<Rounded> values = rounded_run(run);
          for (std::int64_t j = 0; j < count; ++j) value[j] = values[std::size_t(j)].value;
          const double error = at::mv(seen, value - part).square().mean().item<double>();
          if (error < least) {
            least = error;
            out[row].narrow(0, begin, count).copy_(candidate);
          }
        }
      }
    }
    return out;
  }

  void quantize(std::int64_t unit, const Values& recorded) {
    const models::AttentionParts parts = *network_.attention_parts(unit);
    std::map<std::string, at::Tensor> inputs;
    for (const models::Layer& layer : network_.layers()) {
      if (layer.unit == unit) inputs[layer.name] = recorded.find(layer.input_site)->second;
    }
    const std::string block = parts.q.substr(0, parts.q.find("self_attn"));
    const auto itself = [&](const std::string& layer) {
      search({layer}, inputs.at(layer),
             [&](const Values& replaced) { return apply(layer, replaced, inputs.at(layer)); });
    };
    const std::vector<std::string> qkv = {parts.q, parts.k, parts.v};
    const std::vector<std::string> second =
        llama_ ? std::vector<std::string>{block + "mlp.gate_proj", block + "mlp.up_proj"}
               : std::vector<std::string>{block + "fc1"};
    const std::string last = llama_ ? block + "mlp.down_proj" : block + "fc2";
    const bool out_scales = parts.heads == parts.kv_heads;
    search(qkv, inputs.at(parts.q),
           [&](const Values& replaced) { return attention(parts, replaced, inputs.at(parts.q)); });
    if (out_scales) itself(parts.out);
    if (llama_) {
      search(second, inputs.at(second[0]), [&](const Values& replaced) {
        return mlp(block + "mlp.", replaced, inputs.at(second[0]));
      });
    } else {
      itself(second[0]);
    }
    itself(last);
    fold(qkv, block + (llama_ ? "input_layernorm" : "self_attn_layer_norm"));
    if (out_scales) fold({parts.out}, parts.v);
    fold(second, block + (llama_ ? "post_attention_layernorm" : "final_layer_norm"));
    fold({last}, second.back());
    for (const auto& group : {qkv, std::vector<std::string>{parts.out}, second, {last}}) {
      for (const std::string& layer : group) {
        at::Tensor x = inputs.at(layer);
        if (result_.scales.contains(group[0])) x = x / scales_of(group[0]);
        const bool clips = layer != parts.q && layer != parts.k;
        result_.layers[layer] = rounded(clips ? clamped(weight(layer), sampled(x)) : weight(layer));
      }
    }
  }

  models::Network& network_;
  Options options_;
  std::map<std::string, at::Tensor> folded_;
  bool llama_ = false;
  std::map<std::string, at::Tensor> parameters_;  // that channels are scaled of
  PlainResult result_;
};

}  // namespace assay::awq
