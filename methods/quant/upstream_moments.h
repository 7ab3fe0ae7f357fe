#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "harness/models/network.h"
#include "harness/models/tap.h"
#include "methods/quant/chunk.h"

namespace assay::quant {

// How far the inputs of a unit have moved from those of the float network, against the inputs:
//   (2 / n) sum (x_float - x) x^T
// over the tokens of all sequences. Each chunk passes the unit twice, first with the float
// network's hidden states. Source: TurboBoA (arXiv 2602.04929).
class UpstreamMoments : public models::Tap {
 public:
  // `parts`: the values' inputs are looked at behind the attention probabilities too, a head.
  UpstreamMoments(std::set<std::string> sites, std::optional<models::AttentionParts> parts,
                  std::string value_site);

  void begin(const Chunk* chunk, bool float_pass) { chunk_ = chunk, float_pass_ = float_pass; }
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override {
    return parts_ && site == parts_->probabilities;
  }

  // [features, features] at a site; of the values [kv_heads, features, features], the mean over the
  // heads that share one. In the dtype of the inputs.
  at::Tensor at_site(const std::string& site) const { return mean_of(site); }
  at::Tensor of_values() const;

 private:
  void take(const std::string& key, const at::Tensor& counted);
  at::Tensor mean_of(const std::string& key) const;

  struct Sum {
    at::Tensor moments;  // float64
    std::int64_t tokens = 0;
    at::ScalarType type = at::kFloat;
  };

  std::set<std::string> sites_;
  std::optional<models::AttentionParts> parts_;
  std::string value_site_;
  const Chunk* chunk_ = nullptr;
  bool float_pass_ = false;
  at::Tensor values_;                       // inputs of the running pass at the values' site
  std::map<std::string, at::Tensor> kept_;  // of the float pass, until the other one
  std::map<std::string, Sum> sums_;
};

}  // namespace assay::quant
