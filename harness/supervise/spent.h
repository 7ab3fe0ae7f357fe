#pragma once

#include <filesystem>

namespace assay::supervise {

// Time that went into the checkpoints of a stage, by all attempts that added to them.
struct Spent {
  double wall_s = 0;
  double cpu_s = 0;
};

// Beside the checkpoints in a stage's folder: the attempt that goes on from them goes on counting.
inline constexpr const char* kSpentFile = ".assay-spent.json";

// Nothing spent where no attempt has left a file, or it does not parse.
Spent spent_on(const std::filesystem::path& checkpoints);

// A file that cannot be written is only a cost that is told too low.
void note_spent(const std::filesystem::path& checkpoints, const Spent& spent);

}  // namespace assay::supervise
