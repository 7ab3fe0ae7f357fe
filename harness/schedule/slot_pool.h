#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "harness/schedule/event.h"
#include "harness/schedule/ready_queue.h"

namespace assay::schedule {

// What runs on a slot, or waits behind what runs there.
struct Occupant {
  Attempt attempt;
  ReadyQueue::Request request;
  double since_s = 0;
  bool stopping = false;  // was asked to stop, or to come back if it only waits
};

struct Slot {
  SlotOffer offer;
  std::optional<Occupant> running;
  std::deque<Occupant> waiting;  // behind what runs, the next first

  // What waits and is this attempt, or null.
  const Occupant* find_waiting(const Attempt& attempt) const;
  std::vector<std::string> residents;  // what its executor probably holds, the latest first
  std::set<std::string> barred;        // providers that it cannot start
};

// Nodes with their slots: admission by resource vector, and which slot suits a stage best. All
// answers depend on the state only, so two runs with the same events choose alike.
class SlotPool {
 public:
  void join(const SlotOffer& offer);
  // Takes the slot out and returns what was on it; nothing if it is not known.
  std::optional<Slot> leave(SlotId id);

  Slot* find(SlotId id);
  const std::map<SlotId, Slot>& slots() const { return slots_; }
  std::size_t busy() const { return busy_; }
  std::size_t waiting() const { return waiting_; }  // behind what runs
  std::size_t free() const { return slots_.size() - busy_; }
  // Free slots that take whatever fits them.
  std::size_t open() const;

  // Whether the slot gets stages of the provider.
  void bar(SlotId id, const std::string& provider);
  void unbar(SlotId id, const std::string& provider);

  // A free slot that admits the request now: one whose executor holds `residency` first.
  std::optional<SlotId> place(const ReadyQueue::Request& request,
                              const std::string& residency) const;
  // Whether the request may wait behind what runs on `id`.
  bool admits_ahead(SlotId id, const ReadyQueue::Request& request) const;
  // Whether an empty node would admit it.
  bool admits_ever(const ReadyQueue::Request& request) const;

  // Slots of a node.
  const std::set<SlotId>& on(const std::string& node) const { return nodes_.at(node).members; }

  // Nodes that would admit the request once they are empty, and are kept for no other stage.
  std::vector<std::string> reservable(const ReadyQueue::Request& request) const;
  // Keeps a node free of new work until `stage` fits there.
  void reserve(StageIndex stage, const std::string& node);
  // A slot of the node kept for `stage`, once it admits it. The node stays reserved.
  std::optional<SlotId> place_reserved(StageIndex stage, const ReadyQueue::Request& request) const;
  void release(StageIndex stage);
  // Nodes that are kept for a stage and have free slots meanwhile, with the stage.
  std::vector<std::pair<std::string, StageIndex>> draining() const;
  // A free slot of the node that admits the request, whomever the node is kept for; nothing for an
  // exclusive one. One whose executor holds `residency` first.
  std::optional<SlotId> place_on(const std::string& node, const ReadyQueue::Request& request,
                                 const std::string& residency) const;
  // Stages that nodes are kept for, by node name.
  std::vector<StageIndex> reserved() const;

  void start(const Occupant& occupant, const std::string& residency);
  void queue(const Occupant& occupant);
  // Ends what runs; what waits behind it runs from `now`.
  void end_running(SlotId id, double now);
  void drop_waiting(const Attempt& attempt);
  void note_resident(SlotId id, const std::string& residency);
  void forget_residents(SlotId id);  // its executor was restarted

  // Raises the request after an out-of-memory failure that reached `peak_bytes`; false if it had
  // all that a node can give.
  bool ask_for_more_memory(ReadyQueue::Request& request, std::int64_t peak_bytes) const;

  // "4 threads, 8.0 GiB" of the largest node, for messages.
  std::string largest_node() const;

 private:
  struct Node {
    Resources capacity;
    Resources used;
    std::set<SlotId> members;
    std::set<SlotId> free;
    bool exclusive = false;  // an exclusive stage runs
    std::optional<StageIndex> reserved_for;
  };

  bool admits(const Node& node, const ReadyQueue::Request& request) const;
  bool takes(SlotId id, const ReadyQueue::Request& request) const;
  bool may_avoid(const ReadyQueue::Request& request) const;
  std::optional<SlotId> best_free(const Node& node, const ReadyQueue::Request& request, bool avoid,
                                  const std::string& residency, bool* resident) const;
  void charge(const Slot& slot, int sign);

  std::map<SlotId, Slot> slots_;
  std::map<std::string, Node> nodes_;
  std::size_t busy_ = 0;
  std::size_t waiting_ = 0;
  std::size_t bars_ = 0;  // summed over slots
};

// "2 threads, 4.0 GiB, 1 GPU with 16.0 GiB"
std::string describe(const Resources& resources);

}  // namespace assay::schedule
