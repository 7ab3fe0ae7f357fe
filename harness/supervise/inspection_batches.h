#pragma once

#include <cstddef>
#include <vector>

#include "harness/contract/inspection.h"

namespace assay::supervise {

// Questions that go into one file.
struct InspectionBatch {
  std::vector<Question> questions;  // `inputs` count within this batch
  std::vector<std::size_t> asked;   // of each, its place among those that are asked for; kBeside:
                                    // it is here since another one's inputs name it
  static constexpr auto kBeside = static_cast<std::size_t>(-1);
};

// Divides the questions that are wanted (indices, ascending) into files of at most `most_bytes`,
// each with whatever their inputs name. A question that is larger by itself has a batch of its own.
std::vector<InspectionBatch> inspection_batches(const std::vector<Question>& questions,
                                                const std::vector<std::size_t>& wanted,
                                                std::size_t most_bytes);

}  // namespace assay::supervise
