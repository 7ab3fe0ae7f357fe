#include "methods/quarot/rotation.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/philox.h"
#include "harness/models/block_rotation.h"
#include "harness/models/family.h"
#include "harness/models/random_tensor.h"

namespace assay::quarot {
namespace {

constexpr const char* kStream = "quarot.rotation";

using models::AttentionParts;
using models::ResidualParts;

// Uniform among orthogonal matrices once R has a positive diagonal (Mezzadri 2007).
at::Tensor random_orthogonal(std::int64_t width, std::uint64_t seed) {
  Philox random(seed, kStream);
  const auto [q, r] =
      at::linalg_qr(models::normal_tensor(random, {width, width}, 0, 1, at::kDouble));
  return q * at::where(at::diagonal(r) < 0, -1.0, 1.0);
}

at::Tensor random_signs(std::int64_t width, std::uint64_t seed) {
  Philox random(seed, kStream);
  std::vector<double> signs(static_cast<std::size_t>(width));
  for (double& sign : signs) sign = (random.next() & 1) != 0 ? -1.0 : 1.0;
  return at::tensor(signs, at::kDouble);
}

ResidualParts residual_of(const models::Network& network) {
  if (auto parts = network.residual_parts()) return *std::move(parts);
  throw Error(
      ErrorKind::kUnsupported,
      fmt::format("quarot rotates the residual stream of decoders (opt, llama); networks of "
                  "family '{}' have none",
                  network.info().family));
}

// Width of the MLP's last layer, of the first block.
std::int64_t mlp_width(const models::Network& network, const ResidualParts& residual) {
  const std::string out = network.attention_parts(0)->out;
  for (const std::string& layer : residual.writers) {
    if (layer != out) return network.parameters().at(layer + ".weight").size(1);
  }
  throw Error(ErrorKind::kUnsupported, "the blocks have no MLP");
}

// Fills the network that a rotation makes, layer by layer.
class Folding {
 public:
  Folding(const models::Network& from, const Rotation& rotation, models::Network& to)
      : from_(from), rotation_(rotation), to_(to), residual_(residual_of(from)) {
    for (const ResidualParts::Reader& reader : residual_.readers) {
      for (const std::string& layer : reader.layers) norm_before_[layer] = reader.norm;
    }
    writers_.insert(residual_.writers.begin(), residual_.writers.end());
    for (std::int64_t unit = 0; unit < from.unit_count(); ++unit) {
      const AttentionParts parts = *from.attention_parts(unit);
      values_.insert(parts.v);
      outputs_.insert(parts.out);
    }
    block_ = to.attention_parts(0)->rotation;
  }

  void run() {
    for (const std::string& name : residual_.embeddings) {
      at::Tensor rows = wide(name);
      if (residual_.centred) rows = rows - rows.mean(1, true);
      put(name, rotation_(rows));
    }
    for (const ResidualParts::Reader& reader : residual_.readers) {
      const std::string name = reader.norm + ".weight";
      put(name, at::ones_like(wide(name)));
      for (const std::string& layer : reader.layers) fold(layer);
    }
    for (const std::string& layer : residual_.writers) fold(layer);
  }

 private:
  struct Pair {
    at::Tensor weight, bias;  // float64; bias may be undefined
  };

  at::Tensor wide(const std::string& name) const {
    return from_.parameters().at(name).detach().to(at::kDouble);
  }

  void put(const std::string& name, const at::Tensor& value) {
    const at::Tensor& like = *from_.parameters().slots().begin()->second;
    to_.parameters().at(name) = value.to(like.options()).contiguous();
  }

  Pair pair_of(const std::string& layer) const {
    const bool tied = !from_.parameters().contains(layer + ".weight");  // the head
    Pair pair{.weight = wide(tied ? residual_.embeddings.front() : layer + ".weight")};
    if (from_.parameters().contains(layer + ".bias")) pair.bias = wide(layer + ".bias");
    return pair;
  }

  void fold(const std::string& layer) {
    Pair pair = pair_of(layer);
    const auto norm = norm_before_.find(layer);
    if (norm != norm_before_.end()) read_behind(norm->second, pair);
    if (writers_.contains(layer)) write(pair);
    if (values_.contains(layer)) turn_values(pair);
    if (outputs_.contains(layer)) {
      pair.weight = block_->whole(pair.weight);
    } else if (writers_.contains(layer)) {
      pair.weight = block_->mlp(pair.weight);
    }
    put(layer + ".weight", pair.weight);
    if (pair.bias.defined()) put(layer + ".bias", pair.bias);
  }

  // W (n g + b) = (W g) n + W b, n what is left of the norm.
  void read_behind(const std::string& norm, Pair& pair) const {
    if (from_.parameters().contains(norm + ".bias")) {
      const at::Tensor moved = at::mv(pair.weight, wide(norm + ".bias"));
      pair.bias = pair.bias.defined() ? pair.bias + moved : moved;
    }
    pair.weight = rotation_(pair.weight * wide(norm + ".weight"));
  }

  void write(Pair& pair) const {
    if (residual_.centred) pair.weight = pair.weight - pair.weight.mean(0, true);
    pair.weight = rotation_(pair.weight.t()).t();
    if (!pair.bias.defined()) return;
    if (residual_.centred) pair.bias = pair.bias - pair.bias.mean();
    pair.bias = rotation_(pair.bias);
  }

  // Rows of a head together.
  void turn_values(Pair& pair) const {
    const std::int64_t dim = from_.attention_parts(0)->head_dim;
    const auto turned = [&](const at::Tensor& columns) {  // [columns, heads * dim]
      return block_->head(columns.reshape({-1, dim})).reshape(columns.sizes());
    };
    pair.weight = turned(pair.weight.t()).t();
    if (pair.bias.defined()) pair.bias = turned(pair.bias);
  }

  const models::Network& from_;
  const Rotation& rotation_;
  models::Network& to_;
  ResidualParts residual_;
  std::map<std::string, std::string> norm_before_;  // by layer
  std::set<std::string> writers_, values_, outputs_;
  std::shared_ptr<const models::BlockRotation> block_;
};

}  // namespace

Rotation::Rotation(RotationKind kind, std::int64_t width, std::uint64_t seed) {
  if (kind == RotationKind::kRandom) {
    matrix_ = random_orthogonal(width, seed);
    return;
  }
  hadamard_.emplace(width);
  signs_ = random_signs(width, seed);
}

at::Tensor Rotation::operator()(const at::Tensor& x) const {
  if (!hadamard_) return at::matmul(x, matrix_.to(x.device()));
  return (*hadamard_)(x * signs_.to(x.device()));
}

std::int64_t residual_width(const models::Network& network) {
  return network.parameters().at(residual_of(network).embeddings.front()).size(1);
}

void require_rotatable(const models::Network& network, RotationKind kind) {
  const ResidualParts residual = residual_of(network);
  const AttentionParts parts = *network.attention_parts(0);
  if (parts.rotation) {
    throw Error(ErrorKind::kUnsupported,
                "the network is rotated already (config.json: rotated): leave quarot out");
  }
  if (kind == RotationKind::kHadamard) {
    const std::int64_t width = residual_width(network);
    if (!models::has_hadamard(width)) {
      models::require_hadamard(width,
                               "quarot, rotation: hadamard (write random, which takes any width): "
                               "the width of the residual stream");
    }
  }
  const models::BlockRotation sizes(parts.heads, parts.head_dim, mlp_width(network, residual));
}

std::unique_ptr<models::Network> rotated(const models::Network& network, const Rotation& rotation) {
  Json configuration = network.configuration();
  configuration["rotated"] = true;
  configuration["tie_word_embeddings"] = false;
  std::unique_ptr<models::Network> made =
      models::make_network(network.info().family, configuration, /*allocate=*/false);
  Folding(network, rotation, *made).run();
  return made;
}

}  // namespace assay::quarot
