#pragma once

#include <cstddef>

// Processes that carry a variable in their environment, wherever they have gone: a child that made
// a session of its own, or one that was handed to init, keeps the environment it was started with.

namespace assay::supervise {

// The variable that executors, and so all that they start, carry: "<owner>:<supervisor>.<number>".
inline constexpr const char* kOwnerVariable = "ASSAY_OWNER";

// Sends SIGKILL to every process whose environment holds `mark` right after a NUL byte or at its
// start ("ASSAY_OWNER=n1.4026531836.711.9021:0."), this one excepted. Looks again until none is
// left, since one may be starting another, but not for long. Returns how many signals were sent.
// A number that was given to another process meanwhile is not hit. Makes system calls only, no
// allocation: may be called in a child of a program with threads.
int kill_marked(const char* mark, std::size_t length);

}  // namespace assay::supervise
