#pragma once

#include <optional>
#include <string_view>

namespace assay::evaluate {

// How much of this host other processes use, for what is timed beside them.
class OtherLoad {
 public:
  struct Reading {
    double wall_s = 0;
    double own_s = 0;              // processor time of this process
    std::optional<double> busy_s;  // processor time of all
  };

  // Of two readings; `ticks_s`: what the clock ticks may have counted too much.
  static std::optional<double> between(const Reading& begin, const Reading& end, double ticks_s);

  OtherLoad() : begin_(now()) {}

  // Processors that other processes were busy on at least, on average since this was made: 0 on an
  // idle host. The kernel counts in clock ticks, of which each processor may have counted one too
  // many. Nothing if it does not tell.
  std::optional<double> processors() const;

 private:
  static Reading now();

  Reading begin_;
};

// Seconds that all processors were busy, from the first line of /proc/stat. Nothing if it is no
// such line.
std::optional<double> busy_seconds(std::string_view line, long ticks_per_second);

}  // namespace assay::evaluate
