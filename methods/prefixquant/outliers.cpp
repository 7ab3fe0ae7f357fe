#include "methods/prefixquant/outliers.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

namespace assay::prefixquant {
namespace {

constexpr double kFewTexts = 0.1;

// Which tokens of the running text are outliers, by unit.
class OutlierTap : public models::Tap {
 public:
  OutlierTap(const models::Network& network, double threshold)
      : threshold_(threshold), outliers(static_cast<std::size_t>(network.unit_count())) {
    for (const models::Layer& layer : network.layers()) {
      if (layer.unit < 0 || layer.unit >= network.unit_count()) continue;
      last_[layer.unit] = layer.input_site;
    }
    for (const auto& [unit, site] : last_) units_[site] = static_cast<std::size_t>(unit);
  }

  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    const auto found = units_.find(site);
    if (found == units_.end()) return value;
    const at::Tensor largest = value[0].abs().amax(-1);
    outliers[found->second] = (largest / largest.median()).gt(threshold_).to(at::kCPU);
    return value;
  }

 private:
  double threshold_;
  std::map<std::int64_t, std::string> last_;
  std::map<std::string, std::size_t, std::less<>> units_;

 public:
  std::vector<at::Tensor> outliers;  // bool [T]
};

}  // namespace

Outliers find_outliers(const models::Network& network, const at::Tensor& texts, double threshold,
                       const std::function<void(std::int64_t, std::int64_t)>& progress) {
  Outliers found{.per_text = std::vector<double>(static_cast<std::size_t>(network.unit_count())),
                 .texts = texts.size(0)};
  OutlierTap tap(network, threshold);
  for (std::int64_t row = 0; row < texts.size(0); ++row) {
    network.forward(texts.narrow(0, row, 1), tap);
    const at::Tensor ids = texts[row].to(at::kCPU);
    for (std::size_t unit = 0; unit < tap.outliers.size(); ++unit) {
      const at::Tensor positions = tap.outliers[unit].nonzero().flatten();
      found.per_text[unit] +=
          static_cast<double>(positions.numel()) / static_cast<double>(texts.size(0));
      for (std::int64_t i = 0; i < positions.numel(); ++i) {
        const std::int64_t position = positions[i].item<std::int64_t>();
        if (position > 0) ++found.ids[ids[position].item<std::int64_t>()];
      }
    }
    if (progress) progress(row + 1, texts.size(0));
  }
  return found;
}

std::vector<std::int64_t> prefix_tokens(const Outliers& outliers, std::int64_t bos) {
  std::vector<std::pair<std::int64_t, std::int64_t>> ids(outliers.ids.begin(), outliers.ids.end());
  if (ids.size() == 1 &&
      static_cast<double>(ids[0].second) < kFewTexts * static_cast<double>(outliers.texts)) {
    ids.clear();
  }
  std::stable_sort(ids.begin(), ids.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  // Sums of 1 / n are a whole number but for rounding.
  const double most = *std::max_element(outliers.per_text.begin(), outliers.per_text.end()) - 1e-9;
  const auto wanted = static_cast<std::size_t>(std::max(0.0, std::ceil(most)));
  std::vector<std::int64_t> tokens;
  for (std::size_t i = 0; i < std::min(wanted, ids.size()); ++i) tokens.push_back(ids[i].first);
  tokens.push_back(bos);
  return tokens;
}

}  // namespace assay::prefixquant
