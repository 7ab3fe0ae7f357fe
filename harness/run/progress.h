#pragma once

#include <memory>
#include <string>

#include "harness/run/run_status.h"

namespace assay::run {

// What a user sees on stderr while a run goes on.
class RunProgress {
 public:
  virtual ~RunProgress() = default;
  // Something happened: one line.
  virtual void line(const std::string& text) = 0;
  // The present state; called about once a second.
  virtual void show(const RunStatus& status) = 0;
  // The end: leaves the last state on the screen.
  virtual void close() = 0;
};

// On a terminal one block that is drawn over, with lines of failures above it; in a pipe a line per
// event and no control codes; quiet: nothing.
std::unique_ptr<RunProgress> make_run_progress(bool terminal, bool quiet);

// The block, without control codes: one line for the whole and one a busy slot (at most
// `max_slots`). `width`: columns; longer lines are cut.
std::string status_block(const RunStatus& status, double now_unix_s, std::size_t max_slots,
                         std::size_t width);

}  // namespace assay::run
