#include "harness/exec/resident.h"

#include <algorithm>

namespace assay::exec {

std::shared_ptr<void> ResidentCache::get(const std::string& key,
                                         const std::function<std::shared_ptr<void>()>& make) {
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const auto& entry) { return entry.first == key; });
  if (found != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, found);
    return entries_.front().second;
  }
  // Room is made first: the peak is then `capacity` values, not one more.
  while (entries_.size() >= capacity_ && !entries_.empty()) entries_.pop_back();
  std::shared_ptr<void> value = make();
  if (capacity_ > 0) entries_.emplace_front(key, value);
  return value;
}

}  // namespace assay::exec
