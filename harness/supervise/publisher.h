#pragma once

#include <limits>
#include <utility>
#include <vector>

#include "harness/supervise/report.h"
#include "harness/supervise/store.h"

namespace assay::supervise {

// Collects finished stages for a short while, publishes them with one sync, then lets them be
// reported. The window grows with what a sync costs on this disk, so that on a busy one most of the
// time goes into stages and not into syncs.
class Publisher {
 public:
  Publisher(Store& store, double window_s, std::size_t group)
      : store_(store), window_s_(window_s), group_(group) {}

  bool empty() const { return waiting_.empty(); }
  void add(Finished finished, Report report, double now_s);

  // When flush() is due; infinity if nothing waits.
  double due_s() const;
  bool full() const { return waiting_.size() >= group_; }

  // Throws Error(kIo): the store cannot be written, and what waited is given up.
  void flush(std::vector<Report>& reports);

 private:
  Store& store_;
  double window_s_;
  std::size_t group_;
  double last_cost_s_ = 0;
  double oldest_s_ = std::numeric_limits<double>::infinity();
  std::vector<Finished> waiting_;
  std::vector<Report> reports_;
};

}  // namespace assay::supervise
