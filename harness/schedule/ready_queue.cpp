#include "harness/schedule/ready_queue.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace assay::schedule {
namespace {

auto fields(const ReadyQueue::Request& r) {
  return std::tuple(r.resources.threads, r.resources.memory_bytes, r.resources.gpus,
                    r.resources.gpu_memory_bytes, r.exclusive, r.avoid,
                    std::string_view(r.provider));
}

}  // namespace

bool ReadyQueue::Order::operator()(const Request& a, const Request& b) const {
  return fields(a) < fields(b);
}

void ReadyQueue::add(const Request& request, const std::string& residency, Entry entry) {
  Group& group = groups_[request];
  group.request = request;
  if (!group.entries.insert(entry).second) return;
  if (!residency.empty()) group.by_residency[residency].insert(entry);
  ++size_;
}

void ReadyQueue::remove(const Request& request, const std::string& residency, Entry entry) {
  const auto found = groups_.find(request);
  if (found == groups_.end() || found->second.entries.erase(entry) == 0) return;
  --size_;
  Group& group = found->second;
  const auto resident = group.by_residency.find(residency);
  if (resident != group.by_residency.end()) {
    resident->second.erase(entry);
    if (resident->second.empty()) group.by_residency.erase(resident);
  }
  if (group.entries.empty()) groups_.erase(found);
}

std::vector<const ReadyQueue::Group*> ReadyQueue::groups() const {
  std::vector<const Group*> result;
  result.reserve(groups_.size());
  for (const auto& [request, group] : groups_) result.push_back(&group);
  std::stable_sort(result.begin(), result.end(), [](const Group* a, const Group* b) {
    return *a->entries.begin() < *b->entries.begin();
  });
  return result;
}

}  // namespace assay::schedule
