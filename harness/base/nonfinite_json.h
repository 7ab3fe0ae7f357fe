#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

namespace assay {

// Text that would be JSON but for numbers that JSON does not have: NaN, Infinity, -Infinity, as
// Python's json.dumps writes them. Read only to say which member is at fault.
struct NonfiniteJson {
  struct Member {
    std::string path;  // "result.metrics.top1"
    std::string text;  // "NaN"
  };
  Json value;                   // with null in their places
  std::vector<Member> members;  // at least one
};

// Nothing for text that has other faults, or none.
std::optional<NonfiniteJson> parse_nonfinite(std::string_view text, int max_depth = 100);

}  // namespace assay
