#pragma once

#include <map>
#include <string>
#include <string_view>

namespace assay::schedule {

// How long stages take, by stage name: what earlier results say, then the mean of this run. Seconds
// of wall time.
class Durations {
 public:
  Durations() = default;
  explicit Durations(const std::map<std::string, double>& earlier);

  void learn(std::string_view name, double wall_s);
  bool known(std::string_view name) const;
  // What is known of `name`, else the mean over all names, else 1 s.
  double expected_s(std::string_view name) const;

 private:
  struct Mean {
    double wall_s = 0;
    double weight = 0;
  };
  std::map<std::string, Mean, std::less<>> names_;
};

}  // namespace assay::schedule
