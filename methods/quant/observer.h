#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/models/network.h"
#include "methods/quant/activation.h"
#include "methods/quant/chunk.h"

// Observers: taps that look at the activations of a float network and find the range of each site.

namespace assay::quant {

enum class ObserverKind { kMinMax, kPercentile, kMse };

struct ObserverOptions {
  ObserverKind kind = ObserverKind::kMinMax;
  double percentile = 0.9999;  // kPercentile: mean over the chunks of the quantiles p and 1 - p
  int bits = 8;                // kMse
  bool symmetric = false;      // kMse
};

using Ranges = std::map<std::string, Range, std::less<>>;

// Running extremes, or the mean over chunks of two quantiles, of each site.
class RangeObserver : public models::Tap {
 public:
  RangeObserver(std::vector<std::string> sites, ObserverOptions options);

  void begin(const Chunk* chunk) { chunk_ = chunk; }  // borrowed until the next call
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override { return found_.contains(site); }

  // Throws Error(kMethod) naming a site that the network never reached or that held NaN.
  Ranges ranges() const;

 private:
  struct Found {
    std::int64_t count = 0;
    Range range;
  };
  ObserverOptions options_;
  const Chunk* chunk_ = nullptr;
  std::map<std::string, Found, std::less<>> found_;
};

// Squared error of 90 joint shrink factors 1.00, 0.99 .. 0.11 of known extremes, summed over all
// chunks in float64; the least wins, the first of equals. (OMSE of FQ-ViT, over all the data rather
// than the last batch.)
class ShrinkObserver : public models::Tap {
 public:
  static constexpr int kFactors = 90;

  ShrinkObserver(Ranges extremes, ObserverOptions options, at::ScalarType type);

  void begin(const Chunk* chunk) { chunk_ = chunk; }
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view site) const override { return extremes_.contains(site); }

  Ranges ranges() const;

 private:
  Range shrunk(Range range, int factor) const;

  Ranges extremes_;
  ObserverOptions options_;
  at::ScalarType type_;
  const Chunk* chunk_ = nullptr;
  std::map<std::string, std::vector<double>, std::less<>> errors_;
};

// What is observed: images or tokens, rows first, in chunks of `chunk_size`.
struct ObservedInputs {
  at::Tensor rows;
  std::int64_t chunk_size = 1;
};

// Ranges of `sites` over one pass (two for kMse) of the network on the inputs. `progress` is told
// (chunks done, chunks). `own`: activation quantizers that the network has already; what they make
// is observed.
Ranges observe(const models::Network& network, const ObservedInputs& inputs,
               const std::vector<std::string>& sites, const ObserverOptions& options,
               const std::function<void(std::int64_t, std::int64_t)>& progress = {},
               models::Tap* own = nullptr);

// ranges.json: {"sites": {name: {"low": number, "high": number}}}.
Json to_json(const Ranges& ranges);
Ranges ranges_from(const Json& json, const std::string& where);

}  // namespace assay::quant
