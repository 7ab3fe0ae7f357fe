#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/models/checkpoint_files.h"
#include "harness/models/family.h"
#include "harness/models/network.h"

namespace assay::models {

// How much of a stored head is compared with the embedding that config.json ties it to.
enum class TieCheck {
  kSampled,  // up to 1 MiB spread over it: before a run
  kWhole
};

// Which tensor of a checkpoint fills which slot of a network, and what does not fit. Only names,
// shapes and dtypes are looked at, and of a tied head the values.
struct TensorMatch {
  std::map<std::string, std::string> sources;  // slot -> name in the checkpoint
  std::vector<std::string> missing;            // slots without a tensor
  std::vector<std::string> unexpected;         // tensors without a slot
  std::vector<std::string> misfits;            // sentences: "'a' is [3], not [4]"
  std::string mend;                            // what to do, if one cause explains it

  bool fits() const { return missing.empty() && unexpected.empty() && misfits.empty(); }
};

// `network`: its tensors may be shapes without memory. The one comparison that loading and looking
// before a run share.
TensorMatch match_tensors(const Network& network, const Family& family,
                          const CheckpointFiles& files, TieCheck tie);

// Throws Error(kData) listing what does not fit, and the mend.
void require_fit(const TensorMatch& match, const Network& network, const CheckpointFiles& files);

}  // namespace assay::models
