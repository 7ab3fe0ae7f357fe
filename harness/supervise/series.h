#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "harness/base/json.h"

namespace assay::supervise {

// Figures that a stage reported while it ran, a loss for example, in the order in which they came:
// what a reader draws as curves. A series that grows beyond kMaxPoints keeps every second point and
// from then on every second new one, and so on, so that it spans the whole stage. Points without a
// value are counted only. The first point with a value and the newest of all are always there, and
// the number and the extremes of all points are known.
class Series {
 public:
  static constexpr std::size_t kMaxPoints = 1024;  // of one series
  static constexpr std::size_t kMaxNames = 32;
  static constexpr std::size_t kMaxNameBytes = 100;

  // NaN: a value that is not defined. False if it was dropped: the name is too long, or there are
  // too many of them.
  bool add(const std::string& name, std::int64_t step, double value);
  bool empty() const { return series_.empty(); }

  // Member `series` of result.json: {name: {"points": [[step, value or null], ...], "count",
  // "undefined", "least", "greatest"}}; count and extremes are those of all points, undefined the
  // number of those without a value.
  Json summary() const;

  // Beside the checkpoints in a stage's folder: the attempt that goes on from them goes on with the
  // series. None where no attempt has left a file, or it does not parse. A file that cannot be
  // written is only a curve that begins later.
  static Series from(const std::filesystem::path& checkpoints);
  void save(const std::filesystem::path& checkpoints) const;

 private:
  using Point = std::pair<std::int64_t, double>;
  struct One {
    std::size_t defined() const { return seen - undefined; }

    std::size_t every = 1;  // of the points with a value, those whose number it divides are kept
    std::size_t seen = 0;
    std::size_t undefined = 0;
    double least = 0;  // of those that are defined
    double greatest = 0;
    std::vector<Point> kept;
    Point newest;
  };
  static Json to_json(const Point& point);
  std::map<std::string, One> series_;
};

inline constexpr const char* kSeriesFile = ".assay-series.json";

}  // namespace assay::supervise
