#include "harness/supervise/series.h"

#include <algorithm>
#include <cmath>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"

namespace assay::supervise {
namespace {

constexpr std::size_t kMaxFileBytes = 4 << 20;  // 32 full series take at most half of it

}  // namespace

bool Series::add(const std::string& name, std::int64_t step, double value) {
  if (name.size() > kMaxNameBytes) return false;
  if (series_.size() >= kMaxNames && !series_.contains(name)) return false;
  One& one = series_[name];
  one.newest = {step, value};
  ++one.seen;
  if (std::isnan(value)) {
    ++one.undefined;
    return true;
  }
  const std::size_t index = one.defined() - 1;
  one.least = index == 0 ? value : std::min(one.least, value);
  one.greatest = index == 0 ? value : std::max(one.greatest, value);
  if (index % one.every != 0) return true;
  one.kept.push_back(one.newest);
  if (one.kept.size() <= kMaxPoints) return true;
  for (std::size_t i = 0; 2 * i < one.kept.size(); ++i) one.kept[i] = one.kept[2 * i];
  one.kept.resize((one.kept.size() + 1) / 2);
  one.every *= 2;
  return true;
}

Json Series::to_json(const Point& point) {
  return {point.first, std::isnan(point.second) ? Json() : Json(point.second)};
}

Json Series::summary() const {
  Json all = Json::object();
  for (const auto& [name, one] : series_) {
    Json points = Json::array();
    for (const Point& point : one.kept) points.push_back(to_json(point));
    const bool kept = !std::isnan(one.newest.second) && (one.defined() - 1) % one.every == 0;
    if (!kept) points.push_back(to_json(one.newest));
    all[name] = {{"points", std::move(points)}, {"count", one.seen}, {"undefined", one.undefined}};
    if (one.defined() > 0) {
      all[name]["least"] = one.least;
      all[name]["greatest"] = one.greatest;
    }
  }
  return all;
}

Series Series::from(const std::filesystem::path& checkpoints) {
  const std::filesystem::path file = checkpoints / kSeriesFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  const auto point_from = [](const Json& json) {
    return Point{json.at(0).get<std::int64_t>(),
                 json.at(1).is_null() ? std::nan("") : json.at(1).get<double>()};
  };
  Series series;
  try {
    const Json json = parse_json(read_file(file, kMaxFileBytes), file.string());
    for (const auto& item : json.items()) {
      One& one = series.series_[item.key()];
      const Json& saved = item.value();
      saved.at("every").get_to(one.every);
      saved.at("count").get_to(one.seen);
      saved.at("undefined").get_to(one.undefined);
      saved.at("least").get_to(one.least);
      saved.at("greatest").get_to(one.greatest);
      one.newest = point_from(saved.at("newest"));
      if (one.every == 0 || one.seen == 0 || one.undefined > one.seen) return {};
      if (saved.at("kept").empty() != (one.defined() == 0)) return {};
      if (saved.at("kept").size() > kMaxPoints || series.series_.size() > kMaxNames) return {};
      for (const Json& point : saved.at("kept")) one.kept.push_back(point_from(point));
    }
  } catch (const Error&) {
    return {};
  } catch (const Json::exception&) {
    return {};
  }
  return series;
}

void Series::save(const std::filesystem::path& checkpoints) const {
  if (empty()) return;
  Json json = Json::object();
  for (const auto& [name, one] : series_) {
    Json kept = Json::array();
    for (const Point& point : one.kept) kept.push_back(to_json(point));
    json[name] = {{"every", one.every},           {"count", one.seen},
                  {"undefined", one.undefined},   {"least", one.least},
                  {"greatest", one.greatest},     {"kept", std::move(kept)},
                  {"newest", to_json(one.newest)}};
  }
  try {
    write_file_atomically(checkpoints / kSeriesFile, json.dump() + "\n");
  } catch (const Error&) {
  }
}

}  // namespace assay::supervise
