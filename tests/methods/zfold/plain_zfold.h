#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

// Z-Fold with plain loops in float64, one row and one column at a time: what the method is held to.

namespace assay::zfold {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;

inline Matrix matrix_of(const at::Tensor& tensor) {
  Matrix out;
  for (std::int64_t i = 0; i < tensor.size(0); ++i) {
    const at::Tensor row = tensor[i].contiguous();
    out.emplace_back(row.const_data_ptr<double>(), row.const_data_ptr<double>() + row.numel());
  }
  return out;
}

struct PlainOptions {
  int bits = 3;
  int rounds = 30;
  bool hessian = true;
  bool act_order = false;
};

struct PlainLayer {
  Matrix weight, code;
  Row scale, zero, zeta;  // zeta: 1 where there is none
};

class PlainZFold {
 public:
  // moments: 2 E[x x^T] of the layers' input, not repaired.
  PlainZFold(Matrix moments, PlainOptions options)
      : h_(std::move(moments)), options_(options), qmax_((1 << options.bits) - 1) {
    double mean = 0;
    for (std::size_t j = 0; j < h_.size(); ++j) {
      dead_.push_back(h_[j][j] == 0);
      if (dead_[j]) h_[j][j] = 1;
      mean += h_[j][j] / static_cast<double>(h_.size());
    }
    order_.resize(h_.size());
    std::iota(order_.begin(), order_.end(), std::size_t{0});
    if (options_.act_order) {
      std::stable_sort(order_.begin(), order_.end(),
                       [&](std::size_t a, std::size_t b) { return h_[a][a] > h_[b][b]; });
    }
    for (std::size_t j = 0; j < h_.size(); ++j) h_[j][j] += 0.01 * mean;
  }

  // Layers that share a zeta.
  void fold(std::vector<PlainLayer*> layers) const {
    for (PlainLayer* layer : layers) start(*layer);
    double best = total(layers);
    std::vector<PlainLayer> kept;
    for (int round = 0; round < options_.rounds; ++round) {
      for (PlainLayer* layer : layers) kept.push_back(*layer);
      const Row zeta = fitted(layers);
      for (PlainLayer* layer : layers) layer->zeta = zeta, search(*layer);
      const double loss = total(layers);
      if (loss > best) {
        for (std::size_t i = 0; i < layers.size(); ++i) *layers[i] = kept[i];
        break;
      }
      best = loss;
      kept.clear();
    }
    for (PlainLayer* layer : layers) {
      if (layers.size() > 1) search(*layer);
      round_columns(*layer);
    }
  }

  void without_zeta(PlainLayer& layer) const {
    start(layer);
    search(layer);
    round_columns(layer);
  }

 private:
  // The min-max grid of what comes in, then dead inputs weigh nothing.
  void start(PlainLayer& layer) const {
    layer.zeta.assign(h_.size(), 1);
    layer.scale.clear(), layer.zero.clear();
    for (Row& w : layer.weight) {
      const auto [low, high] = ends(w);
      layer.scale.push_back((high - low) / qmax_);
      layer.zero.push_back(std::nearbyint(-low / layer.scale.back()));
      for (std::size_t j = 0; j < w.size(); ++j) {
        if (dead_[j]) w[j] = 0;
      }
    }
  }

  static std::pair<double, double> ends(const Row& w) {
    return {std::min(0.0, *std::min_element(w.begin(), w.end())),
            std::max(0.0, *std::max_element(w.begin(), w.end()))};
  }

  double code_of(double w, double scale, double zero) const {
    return std::clamp(std::nearbyint(w / scale) + zero, 0.0, qmax_);
  }

  // d H d^T.
  double loss_of(const Row& d) const {
    double sum = 0;
    for (std::size_t i = 0; i < d.size(); ++i) {
      for (std::size_t j = 0; j < d.size(); ++j) sum += d[i] * h_[i][j] * d[j];
    }
    return sum;
  }

  double row_loss(const PlainLayer& layer, std::size_t r, double scale, double zero) const {
    Row d(h_.size());
    for (std::size_t j = 0; j < d.size(); ++j) {
      const double step = scale * layer.zeta[j], w = layer.weight[r][j];
      d[j] = step * (code_of(w, step, zero) - zero) - w;
    }
    return loss_of(d);
  }

  double total(const std::vector<PlainLayer*>& layers) const {
    double sum = 0;
    for (const PlainLayer* layer : layers) {
      for (std::size_t r = 0; r < layer->weight.size(); ++r) {
        sum += row_loss(*layer, r, layer->scale[r], layer->zero[r]);
      }
    }
    return sum;
  }

  Row fitted(const std::vector<PlainLayer*>& layers) const {
    Row zeta(h_.size());
    for (std::size_t j = 0; j < zeta.size(); ++j) {
      double product = 0, norm = 1e-10;
      for (const PlainLayer* layer : layers) {
        for (std::size_t r = 0; r < layer->weight.size(); ++r) {
          const double w = layer->weight[r][j], scale = layer->scale[r], zero = layer->zero[r];
          const double value = scale * (code_of(w / layer->zeta[j], scale, zero) - zero);
          product += value * w, norm += value * value;
        }
      }
      zeta[j] = product == 0 ? 1 : product / norm;
    }
    return zeta;
  }

  void search(PlainLayer& layer) const {
    for (std::size_t r = 0; r < layer.weight.size(); ++r) {
      Row scaled = layer.weight[r];
      for (std::size_t j = 0; j < scaled.size(); ++j) scaled[j] /= layer.zeta[j];
      const auto [low, high] = ends(scaled);
      if (!options_.hessian) {
        layer.scale[r] = (high - low) / qmax_;
        layer.zero[r] = std::nearbyint(-low / layer.scale[r]);
        continue;
      }
      double best = std::numeric_limits<double>::infinity();
      for (int i = 0; i < 100; ++i) {
        const double p = 1 - i / 100.0, scale = (p * high - p * low) / qmax_;
        for (const double zero : {std::floor(-p * low / scale), std::ceil(-p * low / scale)}) {
          const double loss = row_loss(layer, r, scale, zero);
          if (loss < best) best = loss, layer.scale[r] = scale, layer.zero[r] = zero;
        }
      }
    }
  }

  // Each column in turn, the error of each into all that are left: the inverse of the moments of
  // what is left is updated after every column.
  void round_columns(PlainLayer& layer) const {
    const std::size_t n = h_.size();
    at::Tensor inverse =
        at::empty({static_cast<std::int64_t>(n), static_cast<std::int64_t>(n)}, at::kDouble);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        inverse[static_cast<std::int64_t>(i)][static_cast<std::int64_t>(j)] = h_[i][j];
      }
    }
    Matrix g = matrix_of(at::inverse(inverse)), w = layer.weight;
    std::vector<bool> done(n, false);
    layer.code.assign(w.size(), Row(n));
    for (const std::size_t j : order_) {
      done[j] = true;
      for (std::size_t r = 0; r < w.size(); ++r) {
        const double step = layer.scale[r] * layer.zeta[j];
        const double code = layer.code[r][j] = code_of(w[r][j], step, layer.zero[r]);
        const double error = (w[r][j] - step * (code - layer.zero[r])) / g[j][j];
        for (std::size_t k = 0; k < n; ++k) {
          if (!done[k]) w[r][k] -= error * g[j][k];
        }
      }
      const Row pivot = g[j];
      for (std::size_t a = 0; a < n; ++a) {
        const double factor = g[a][j] / pivot[j];
        for (std::size_t b = 0; b < n; ++b) g[a][b] -= factor * pivot[b];
      }
    }
  }

  Matrix h_;
  PlainOptions options_;
  double qmax_;
  std::vector<bool> dead_;
  std::vector<std::size_t> order_;
};

}  // namespace assay::zfold
