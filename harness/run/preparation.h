#pragma once

#include <atomic>
#include <functional>
#include <optional>

#include "harness/run/ranks.h"
#include "harness/run/stop_signals.h"

namespace assay::run {

// Does what precedes a run (asking providers, digesting files, planning: minutes, perhaps) in a
// thread of its own, while this thread serves stop signals and tells the other ranks to wait.
// `ranks`: nullptr without a launcher. Throws what `work` throws, and
// what serving the ranks throws if `work` then ends within half a second; else the process is left
// with exit code 4.
//
// A signal sets the flag that `work` gets; if it then ends within half a second, the signal is
// returned. Otherwise `abandon` is called with the signal and the process left with exit code 3 by
// _exit: no thread can be ended from outside, and nothing that `work` does needs an end.
std::optional<StopSignal> listen_during(
    StopSignals& signals, Ranks* ranks,
    const std::function<void(const std::atomic<bool>& stopped)>& work,
    const std::function<void(const StopSignal&)>& abandon);

}  // namespace assay::run
