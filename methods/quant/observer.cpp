#include "methods/quant/observer.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "harness/base/error.h"
#include "methods/quant/quantile.h"
#include "methods/quant/tap_sequence.h"

namespace assay::quant {

RangeObserver::RangeObserver(std::vector<std::string> sites, ObserverOptions options)
    : options_(options) {
  for (std::string& site : sites) found_.emplace(std::move(site), Found{});
}

at::Tensor RangeObserver::operator()(std::string_view site, const at::Tensor& value) {
  const auto slot = found_.find(site);
  if (slot == found_.end()) return value;
  const at::Tensor seen = chunk_ ? chunk_->counted(value) : value;
  Found& found = slot->second;
  const auto n = static_cast<double>(found.count);
  if (options_.kind == ObserverKind::kPercentile) {
    const at::Tensor flat = seen.reshape({-1});
    const double low = quant::quantile(flat, 1 - options_.percentile).item<double>();
    const double high = quant::quantile(flat, options_.percentile).item<double>();
    found.range.low += (low - found.range.low) / (n + 1);
    found.range.high += (high - found.range.high) / (n + 1);
  } else {
    const auto [low, high] = at::aminmax(seen);
    const double least = low.item<double>(), most = high.item<double>();
    found.range = found.count == 0
                      ? Range{least, most}
                      : Range{std::fmin(found.range.low, least), std::fmax(found.range.high, most)};
    if (std::isnan(least) || std::isnan(most)) found.range = {least, most};
  }
  ++found.count;
  return value;
}

Ranges RangeObserver::ranges() const {
  Ranges out;
  for (const auto& [site, found] : found_) {
    if (found.count == 0) {
      throw Error(ErrorKind::kMethod, fmt::format("site '{}' was not reached by the network", site),
                  {{"site", site}});
    }
    if (!std::isfinite(found.range.low) || !std::isfinite(found.range.high)) {
      throw Error(ErrorKind::kMethod, fmt::format("site '{}' held NaN or infinities", site),
                  {{"site", site}});
    }
    out.emplace(site, found.range);
  }
  return out;
}

ShrinkObserver::ShrinkObserver(Ranges extremes, ObserverOptions options, at::ScalarType type)
    : extremes_(std::move(extremes)), options_(options), type_(type) {
  for (const auto& [site, range] : extremes_) errors_[site].assign(kFactors, 0.0);
}

Range ShrinkObserver::shrunk(Range range, int factor) const {
  const double p = 1.0 - factor / 100.0;
  return {p * range.low, p * range.high};
}

at::Tensor ShrinkObserver::operator()(std::string_view site, const at::Tensor& value) {
  const auto slot = extremes_.find(site);
  if (slot == extremes_.end()) return value;
  const at::Tensor seen = chunk_ ? chunk_->counted(value) : value;
  std::vector<double>& errors = errors_.find(site)->second;
  for (int factor = 0; factor < kFactors; ++factor) {
    const ActivationQuantizer quantizer =
        static_quantizer(shrunk(slot->second, factor), options_.bits, options_.symmetric, type_);
    errors[static_cast<std::size_t>(factor)] +=
        (quantizer(seen) - seen).square().sum(at::kDouble).item<double>();
  }
  return value;
}

Ranges ShrinkObserver::ranges() const {
  Ranges out;
  for (const auto& [site, errors] : errors_) {
    const auto best = std::min_element(errors.begin(), errors.end());
    out.emplace(site,
                shrunk(extremes_.find(site)->second, static_cast<int>(best - errors.begin())));
  }
  return out;
}

Ranges observe(const models::Network& network, const ObservedInputs& inputs,
               const std::vector<std::string>& sites, const ObserverOptions& options,
               const std::function<void(std::int64_t, std::int64_t)>& progress, models::Tap* own) {
  models::Untapped none;
  const std::int64_t chunks = chunk_count(inputs.rows.size(0), inputs.chunk_size);
  const std::int64_t passes = options.kind == ObserverKind::kMse ? 2 : 1;
  at::ScalarType type = at::kFloat;
  const auto run = [&](auto& observer, std::int64_t pass) {
    TapSequence tap(own == nullptr ? none : *own, observer);
    for (std::int64_t i = 0; i < chunks; ++i) {
      const Chunk chunk = chunk_of(inputs.rows, i, inputs.chunk_size);
      observer.begin(&chunk);
      type = network.forward(chunk.rows, tap).scalar_type();
      observer.begin(nullptr);
      if (progress) progress(pass * chunks + i + 1, passes * chunks);
    }
  };
  RangeObserver extremes(sites, options);
  run(extremes, 0);
  if (options.kind != ObserverKind::kMse) return extremes.ranges();
  ShrinkObserver shrink(extremes.ranges(), options, type);
  run(shrink, 1);
  return shrink.ranges();
}

Json to_json(const Ranges& ranges) {
  Json sites = Json::object();
  for (const auto& [site, range] : ranges) {
    sites[site] = {{"low", range.low}, {"high", range.high}};
  }
  return {{"sites", sites}};
}

Ranges ranges_from(const Json& json, const std::string& where) {
  if (!json.is_object() || !json.contains("sites") || !json["sites"].is_object()) {
    throw Error(ErrorKind::kData, where + ": 'sites' is missing");
  }
  Ranges ranges;
  for (const auto& item : json["sites"].items()) {
    const Json& range = item.value();
    const bool whole = range.is_object() && range.contains("low") && range.contains("high") &&
                       range["low"].is_number() && range["high"].is_number();
    if (!whole) {
      throw Error(ErrorKind::kData, fmt::format("{}: site '{}' has no range", where, item.key()));
    }
    ranges.emplace(item.key(), Range{range["low"].get<double>(), range["high"].get<double>()});
  }
  return ranges;
}

}  // namespace assay::quant
