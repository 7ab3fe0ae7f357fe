#include "harness/schedule/slot_pool.h"

#include <fmt/format.h>

#include <algorithm>

namespace assay::schedule {
namespace {

constexpr std::size_t kResidents = 4;  // about what an executor keeps warm
constexpr double kSlack = 1e-9;        // sums of thread shares

Resources larger(const Resources& a, const Resources& b) {
  return {std::max(a.threads, b.threads), std::max(a.memory_bytes, b.memory_bytes),
          std::max(a.gpus, b.gpus), std::max(a.gpu_memory_bytes, b.gpu_memory_bytes)};
}

Resources plus(const Resources& a, const Resources& b, int sign = 1) {
  return {a.threads + sign * b.threads, a.memory_bytes + sign * b.memory_bytes,
          a.gpus + sign * b.gpus, a.gpu_memory_bytes + sign * b.gpu_memory_bytes};
}

// A capacity of 0 bytes was not measured and is not checked.
bool within(const Resources& wanted, const Resources& used, const Resources& capacity) {
  return used.threads + wanted.threads <= capacity.threads + kSlack &&
         (capacity.memory_bytes == 0 || wanted.memory_bytes == 0 ||
          used.memory_bytes + wanted.memory_bytes <= capacity.memory_bytes) &&
         used.gpus + wanted.gpus <= capacity.gpus + kSlack &&
         (capacity.gpu_memory_bytes == 0 || wanted.gpu_memory_bytes == 0 ||
          used.gpu_memory_bytes + wanted.gpu_memory_bytes <= capacity.gpu_memory_bytes);
}

// What a slot takes from its node: enough for what runs and for each that waits behind it.
Resources charged(const Slot& slot) {
  Resources result{0, 0, 0, 0};
  if (slot.running) result = larger(result, slot.running->request.resources);
  for (const Occupant& next : slot.waiting) result = larger(result, next.request.resources);
  return result;
}

bool holds(const Slot& slot, const std::string& residency) {
  return !residency.empty() &&
         std::find(slot.residents.begin(), slot.residents.end(), residency) != slot.residents.end();
}

}  // namespace

void SlotPool::join(const SlotOffer& offer) {
  if (!slots_.emplace(offer.id, Slot{offer, {}, {}, {}, {}}).second) return;
  Node& node = nodes_[offer.node];
  if (node.members.empty()) node = Node{{0, 0, 0, 0}, {0, 0, 0, 0}, {}, {}, false, {}};
  node.capacity = plus(node.capacity, offer.offer);
  node.members.insert(offer.id);
  node.free.insert(offer.id);
}

std::optional<Slot> SlotPool::leave(SlotId id) {
  const auto found = slots_.find(id);
  if (found == slots_.end()) return std::nullopt;
  const Slot slot = found->second;
  charge(slot, -1);
  bars_ -= slot.barred.size();
  const auto node = nodes_.find(slot.offer.node);
  if (slot.running) {
    --busy_;
    if (slot.running->request.exclusive) node->second.exclusive = false;
  }
  node->second.capacity = plus(node->second.capacity, slot.offer.offer, -1);
  node->second.members.erase(id);
  node->second.free.erase(id);
  if (node->second.members.empty()) nodes_.erase(node);
  slots_.erase(found);
  return slot;
}

Slot* SlotPool::find(SlotId id) {
  const auto found = slots_.find(id);
  return found == slots_.end() ? nullptr : &found->second;
}

void SlotPool::charge(const Slot& slot, int sign) {
  Node& node = nodes_.at(slot.offer.node);
  node.used = plus(node.used, charged(slot), sign);
  waiting_ += static_cast<std::size_t>(sign) * slot.waiting.size();  // modulo 2^64
}

bool SlotPool::admits(const Node& node, const ReadyQueue::Request& request) const {
  if (node.exclusive || node.free.empty()) return false;
  if (request.exclusive && node.free.size() != node.members.size()) return false;
  return within(request.resources, node.used, node.capacity);
}

bool SlotPool::takes(SlotId id, const ReadyQueue::Request& request) const {
  return bars_ == 0 || !slots_.at(id).barred.contains(request.provider);
}

std::size_t SlotPool::open() const {
  if (bars_ == 0) return free();
  return static_cast<std::size_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& entry) {
        return !entry.second.running && entry.second.barred.empty();
      }));
}

void SlotPool::bar(SlotId id, const std::string& provider) {
  if (Slot* slot = find(id)) bars_ += slot->barred.insert(provider).second ? 1 : 0;
}

void SlotPool::unbar(SlotId id, const std::string& provider) {
  if (Slot* slot = find(id)) bars_ -= slot->barred.erase(provider);
}

// A slot is avoided only while another could do.
bool SlotPool::may_avoid(const ReadyQueue::Request& request) const {
  if (request.avoid < 0 || !slots_.contains(request.avoid)) return false;
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
    const Node& node = entry.second;
    return within(request.resources, {0, 0, 0, 0}, node.capacity) &&
           std::any_of(node.members.begin(), node.members.end(), [&](SlotId id) {
             return id != request.avoid && takes(id, request);
           });
  });
}

std::optional<SlotId> SlotPool::best_free(const Node& node, const ReadyQueue::Request& request,
                                          bool avoid, const std::string& residency,
                                          bool* resident) const {
  std::optional<SlotId> best;
  for (const SlotId id : node.free) {
    if ((avoid && id == request.avoid) || !takes(id, request)) continue;
    if (holds(slots_.at(id), residency)) {
      *resident = true;
      return id;
    }
    if (!best) best = id;
    if (residency.empty()) break;
  }
  return best;
}

std::optional<SlotId> SlotPool::place(const ReadyQueue::Request& request,
                                      const std::string& residency) const {
  const bool avoid = may_avoid(request);
  std::optional<SlotId> best;
  for (const auto& [name, node] : nodes_) {
    if (node.reserved_for || !admits(node, request)) continue;
    bool resident = false;
    const auto slot = best_free(node, request, avoid, residency, &resident);
    if (slot && resident) return slot;
    if (!best) best = slot;
  }
  return best;
}

bool SlotPool::admits_ahead(SlotId id, const ReadyQueue::Request& request) const {
  const auto found = slots_.find(id);
  if (found == slots_.end() || request.exclusive || request.avoid == id || !takes(id, request)) {
    return false;
  }
  const Slot& slot = found->second;
  const Node& node = nodes_.at(slot.offer.node);
  if (!slot.running || node.exclusive || node.reserved_for) return false;
  const Resources others = plus(node.used, charged(slot), -1);
  return within(larger(charged(slot), request.resources), others, node.capacity);
}

bool SlotPool::admits_ever(const ReadyQueue::Request& request) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& entry) {
    return within(request.resources, {0, 0, 0, 0}, entry.second.capacity);
  });
}

std::vector<std::string> SlotPool::reservable(const ReadyQueue::Request& request) const {
  std::vector<std::string> result;
  for (const auto& [name, node] : nodes_) {
    if (node.reserved_for || !within(request.resources, {0, 0, 0, 0}, node.capacity)) continue;
    if (std::any_of(node.members.begin(), node.members.end(),
                    [&](SlotId id) { return takes(id, request); })) {
      result.push_back(name);
    }
  }
  return result;
}

void SlotPool::reserve(StageIndex stage, const std::string& node) {
  nodes_.at(node).reserved_for = stage;
}

std::optional<SlotId> SlotPool::place_reserved(StageIndex stage,
                                               const ReadyQueue::Request& request) const {
  for (const auto& [name, node] : nodes_) {
    if (node.reserved_for != stage || !admits(node, request)) continue;
    for (const SlotId id : node.free) {
      if (takes(id, request)) return id;
    }
  }
  return std::nullopt;
}

void SlotPool::release(StageIndex stage) {
  for (auto& [name, node] : nodes_) {
    if (node.reserved_for == stage) node.reserved_for.reset();
  }
}

std::vector<std::pair<std::string, StageIndex>> SlotPool::draining() const {
  std::vector<std::pair<std::string, StageIndex>> result;
  for (const auto& [name, node] : nodes_) {
    if (node.reserved_for && !node.free.empty()) result.emplace_back(name, *node.reserved_for);
  }
  return result;
}

std::optional<SlotId> SlotPool::place_on(const std::string& node,
                                         const ReadyQueue::Request& request,
                                         const std::string& residency) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || request.exclusive || !admits(found->second, request)) {
    return std::nullopt;
  }
  bool resident = false;
  return best_free(found->second, request, may_avoid(request), residency, &resident);
}

std::vector<StageIndex> SlotPool::reserved() const {
  std::vector<StageIndex> result;
  for (const auto& [name, node] : nodes_) {
    if (node.reserved_for) result.push_back(*node.reserved_for);
  }
  return result;
}

void SlotPool::start(const Occupant& occupant, const std::string& residency) {
  Slot& slot = slots_.at(occupant.attempt.slot);
  Node& node = nodes_.at(slot.offer.node);
  charge(slot, -1);
  slot.running = occupant;
  charge(slot, 1);
  node.free.erase(occupant.attempt.slot);
  node.exclusive = occupant.request.exclusive;
  ++busy_;
  note_resident(occupant.attempt.slot, residency);
}

void SlotPool::queue(const Occupant& occupant) {
  Slot& slot = slots_.at(occupant.attempt.slot);
  charge(slot, -1);
  slot.waiting.push_back(occupant);
  charge(slot, 1);
}

void SlotPool::end_running(SlotId id, double now) {
  Slot& slot = slots_.at(id);
  Node& node = nodes_.at(slot.offer.node);
  charge(slot, -1);
  if (slot.running->request.exclusive) node.exclusive = false;
  slot.running.reset();
  if (!slot.waiting.empty()) {
    slot.running = slot.waiting.front();
    slot.running->since_s = now;
    slot.running->stopping = false;
    slot.waiting.pop_front();
  } else {
    node.free.insert(id);
    --busy_;
  }
  charge(slot, 1);
}

void SlotPool::drop_waiting(const Attempt& attempt) {
  Slot& slot = slots_.at(attempt.slot);
  charge(slot, -1);
  std::erase_if(slot.waiting, [&](const Occupant& o) { return o.attempt == attempt; });
  charge(slot, 1);
}

void SlotPool::note_resident(SlotId id, const std::string& residency) {
  if (residency.empty()) return;
  auto& residents = slots_.at(id).residents;
  std::erase(residents, residency);
  residents.insert(residents.begin(), residency);
  if (residents.size() > kResidents) residents.pop_back();
}

void SlotPool::forget_residents(SlotId id) {
  if (Slot* slot = find(id)) slot->residents.clear();
}

bool SlotPool::ask_for_more_memory(ReadyQueue::Request& request, std::int64_t peak_bytes) const {
  const bool gpu = request.resources.gpus > 0;
  const auto memory = [gpu](const Resources& r) {
    return gpu ? r.gpu_memory_bytes : r.memory_bytes;
  };
  std::int64_t most = 0;
  std::int64_t share = 0;
  for (const auto& [name, node] : nodes_) {
    most = std::max(most, memory(node.capacity));
    const auto seats = static_cast<std::int64_t>(node.members.size());
    share = std::max(share, memory(node.capacity) / std::max<std::int64_t>(1, seats));
  }
  if (most == 0) {  // not measured: the node alone is all there is to offer
    if (request.exclusive) return false;
    request.exclusive = true;
    return true;
  }
  std::int64_t& wanted = gpu ? request.resources.gpu_memory_bytes : request.resources.memory_bytes;
  if (wanted >= most) return false;
  wanted = std::min(most, std::max({2 * (wanted == 0 ? share : wanted), peak_bytes}));
  return true;
}

std::string SlotPool::largest_node() const {
  const Node* best = nullptr;
  for (const auto& [name, node] : nodes_) {
    if (best == nullptr || std::tuple(node.capacity.gpus, node.capacity.memory_bytes) >
                               std::tuple(best->capacity.gpus, best->capacity.memory_bytes)) {
      best = &node;
    }
  }
  return best == nullptr ? "nothing" : describe(best->capacity);
}

const Occupant* Slot::find_waiting(const Attempt& attempt) const {
  for (const Occupant& next : waiting) {
    if (next.attempt == attempt) return &next;
  }
  return nullptr;
}

std::string describe(const Resources& r) {
  constexpr double kGib = 1024.0 * 1024 * 1024;
  std::string text = fmt::format("{:g} thread{}", r.threads, r.threads == 1 ? "" : "s");
  if (r.memory_bytes > 0)
    text += fmt::format(", {:.1f} GiB", static_cast<double>(r.memory_bytes) / kGib);
  if (r.gpus > 0) text += fmt::format(", {:g} GPU{}", r.gpus, r.gpus == 1 ? "" : "s");
  if (r.gpu_memory_bytes > 0) {
    text += fmt::format(" with {:.1f} GiB", static_cast<double>(r.gpu_memory_bytes) / kGib);
  }
  return text;
}

}  // namespace assay::schedule
