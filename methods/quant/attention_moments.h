#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/models/network.h"
#include "harness/models/tap.h"
#include "methods/quant/chunk.h"
#include "methods/quant/moments.h"
#include "methods/quant/partial_pass.h"

// Second moments of what attention makes of a layer's output. Sources: aespa (Kim et al. 2024,
// arXiv 2402.08958) and BoA (Kim et al. 2025, arXiv 2406.13474).

namespace assay::quant {

// Of one unit, over the chunks of a pass.
class AttentionMoments : public models::Tap {
 public:
  // `input_site`: of the projections' input. `values`: the probabilities are looked at too.
  // `prefix_keys` [1, kv_heads, m, d]: those of a prefix, which every sequence meets beside its
  // own, as the site of keys would show them.
  AttentionMoments(models::AttentionParts parts, std::string input_site, bool values,
                   at::Tensor prefix_keys = {});

  SiteNames sites() const;                            // that it looks at
  void begin(const Chunk* chunk) { chunk_ = chunk; }  // borrowed until the next call
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override {
    return values_ && site == parts_.probabilities;
  }

  // What couples the rows of q: E[k k^T] of the keys that its heads meet, [heads, d, d]; of k:
  // E[q q^T], the mean over the heads that share a key, [kv_heads, d, d]. Each times 2. Under a
  // rotary embedding an error of position t is turned by its angle before it meets them: the mean
  // over the positions of a sequence, turned back.
  at::Tensor rows_of_queries() const;
  at::Tensor rows_of_keys() const;

  // 2 E[y y^T], y = sum over the tokens that a position attends to of A x: [kv_heads, columns,
  // columns], the mean over the heads that share a value.
  at::Tensor columns_of_values() const;

 private:
  at::Tensor by_head(const at::Tensor& value, std::int64_t heads) const;
  at::Tensor with_prefix(const at::Tensor& keys) const;
  at::Tensor turned(const at::Tensor& moments) const;

  models::AttentionParts parts_;
  std::string input_site_;
  bool values_;
  at::Tensor prefix_keys_;
  const Chunk* chunk_ = nullptr;
  at::Tensor input_;                                       // of the running pass
  std::vector<MomentAccumulator> queries_, keys_, mixed_;  // by head
  std::int64_t length_ = 0;
};

// mean over first <= t < first + length of R_t^T C R_t, R_t the rotation of position t in the
// half-split layout. moments: [.., d, d]; frequencies: d / 2 radians per position. In float64, then
// in the dtype of `moments`.
at::Tensor rotated_mean(const at::Tensor& moments, const std::vector<double>& frequencies,
                        std::int64_t length, std::int64_t first = 0);

}  // namespace assay::quant
