#include "harness/evaluate/other_load.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <sstream>
#include <string>

namespace assay::evaluate {
namespace {

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
}

}  // namespace

std::optional<double> busy_seconds(std::string_view line, long ticks_per_second) {
  std::istringstream fields{std::string(line)};
  std::string name;
  std::uint64_t user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, soft_irq = 0;
  fields >> name >> user >> nice >> system >> idle >> waiting >> irq >> soft_irq;
  if (!fields || name != "cpu" || ticks_per_second <= 0) return std::nullopt;
  return static_cast<double>(user + nice + system + irq + soft_irq) /
         static_cast<double>(ticks_per_second);
}

OtherLoad::Reading OtherLoad::now() {
  Reading reading;
  reading.wall_s =
      std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  reading.own_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
  std::ifstream file("/proc/stat");
  std::string line;
  if (std::getline(file, line)) reading.busy_s = busy_seconds(line, ::sysconf(_SC_CLK_TCK));
  return reading;
}

std::optional<double> OtherLoad::between(const Reading& begin, const Reading& end, double ticks_s) {
  const double wall_s = end.wall_s - begin.wall_s;
  if (!begin.busy_s || !end.busy_s || wall_s <= 0) return std::nullopt;
  const double others_s = (*end.busy_s - *begin.busy_s) - (end.own_s - begin.own_s) - ticks_s;
  return std::max(0.0, others_s / wall_s);
}

std::optional<double> OtherLoad::processors() const {
  return between(begin_, now(),
                 static_cast<double>(::sysconf(_SC_NPROCESSORS_ONLN)) /
                     static_cast<double>(::sysconf(_SC_CLK_TCK)));
}

}  // namespace assay::evaluate
