#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace assay::exec {

// Values that an executor keeps between stages (models, data sets), the least recently used one
// dropped first once there are more than `capacity`. Used by one thread. A value that a stage still
// holds lives on until the stage lets it go.
class ResidentCache {
 public:
  explicit ResidentCache(std::size_t capacity) : capacity_(capacity) {}

  std::shared_ptr<void> get(const std::string& key,
                            const std::function<std::shared_ptr<void>()>& make);

  // Forgets everything, to give memory back after a stage ran out of it.
  void clear() { entries_.clear(); }

 private:
  std::size_t capacity_;
  std::list<std::pair<std::string, std::shared_ptr<void>>> entries_;
};

}  // namespace assay::exec
