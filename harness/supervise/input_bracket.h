#pragma once

#include <map>
#include <string>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_watch.h"

namespace assay::supervise {

// The input files of one attempt of a foreign provider, which opens them by itself: what lies at
// their paths must be what the plan saw, before the stage and after it. (The built-in executor
// checks the very files that it has open, core/input_watch.h.)
class InputBracket {
 public:
  // `locations`: with manifests as paths; `artifacts`: input name -> path. Throws as begin_use()
  // does; Error(kData) too if a folder holds other names than its manifest, or an artifact is not
  // what was published.
  InputBracket(const Json& recipe, const Json& locations,
               const std::map<std::string, std::string>& artifacts);

  // After the stage; throws as end_use() does.
  void check();

 private:
  void add(const InputFile& file);
  void add_folder(const InputFile& folder);

  std::vector<InputUse> uses_;
  std::vector<InputFile> folders_;
};

}  // namespace assay::supervise
