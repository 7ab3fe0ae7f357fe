#include "harness/supervise/series.h"

#include <system_error>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"

namespace assay::supervise {
namespace {

constexpr std::size_t kMaxFileBytes = 4 << 20;  // 32 full series take at most half of it

}  // namespace

bool Series::add(const std::string& name, std::int64_t step, double value) {
  if (name.size() > kMaxNameBytes) return false;
  if (series_.size() >= kMaxNames && !series_.contains(name)) return false;
  One& one = series_[name];
  one.newest = {step, value};
  if (one.seen++ % one.every != 0) return true;
  one.kept.push_back(one.newest);
  if (one.kept.size() <= kMaxPoints) return true;
  for (std::size_t i = 0; 2 * i < one.kept.size(); ++i) one.kept[i] = one.kept[2 * i];
  one.kept.resize((one.kept.size() + 1) / 2);
  one.every *= 2;
  return true;
}

Json Series::points() const {
  Json all = Json::object();
  for (const auto& [name, one] : series_) {
    Json& points = all[name] = one.kept;
    if ((one.seen - 1) % one.every != 0) points.push_back(one.newest);
  }
  return all;
}

Series Series::from(const std::filesystem::path& checkpoints) {
  const std::filesystem::path file = checkpoints / kSeriesFile;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return {};
  Series series;
  try {
    const Json json = parse_json(read_file(file, kMaxFileBytes), file.string());
    for (const auto& item : json.items()) {
      One& one = series.series_[item.key()];
      item.value().at("every").get_to(one.every);
      item.value().at("seen").get_to(one.seen);
      item.value().at("kept").get_to(one.kept);
      item.value().at("newest").get_to(one.newest);
      if (one.every == 0 || one.seen == 0 || one.kept.empty()) return {};
      if (one.kept.size() > kMaxPoints || series.series_.size() > kMaxNames) return {};
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
    json[name] = {
        {"every", one.every}, {"seen", one.seen}, {"kept", one.kept}, {"newest", one.newest}};
  }
  try {
    write_file_atomically(checkpoints / kSeriesFile, json.dump() + "\n");
  } catch (const Error&) {
  }
}

}  // namespace assay::supervise
