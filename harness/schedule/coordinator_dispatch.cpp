#include <algorithm>
#include <limits>

#include "harness/schedule/coordinator.h"

// What starts where.

namespace assay::schedule {
namespace {

// Work that a slot's executor is warm for goes first if its path is at least this share of the
// longest one.
constexpr double kResidentShare = 0.9;
// A path that takes this share of the time left, or more, is started before anything else.
constexpr double kCriticalShare = 0.5;
// The order of work is made anew when this share of it is done.
constexpr double kReorderShare = 0.2;
// A queued stage that would start so many seconds later than on a free slot is moved to that.
constexpr double kWorthMoving = 0.25;
// Nothing is queued behind a stage that takes this many times what was expected while others end
// sooner.
constexpr double kOverdue = 1.5;
// A node is emptied for exclusive stages when that idles its slots for this share, or less, of the
// time that the stages take from all its slots anyway
// and, before the first row of a board, have waited.
constexpr double kIdleShare = 0.2;
// Stages of one kind of request that are looked at for one that ends in time.
constexpr std::size_t kLookedAt = 64;

std::optional<double> sum(std::optional<double> a, std::optional<double> b) {
  return a && b ? std::optional(*a + *b) : std::nullopt;
}

}  // namespace

void Coordinator::make_ready(StageIndex stage) {
  Work& work = work_[stage];
  work.phase = Phase::kReady;
  work.ready_since_s = now_s_;
  ready_.add(work.request, stage_of(stage).residency, {work.rank, work.path_s, stage});
}

// Back to the queue, or to waiting if an input has gone meanwhile.
void Coordinator::requeue(StageIndex stage) {
  if (work_[stage].missing_inputs == 0) {
    make_ready(stage);
    return;
  }
  work_[stage].phase = Phase::kWaiting;
  block_if_inputs_failed(stage);
}

void Coordinator::take_from_queue(StageIndex stage) {
  const Work& work = work_[stage];
  ready_.remove(work.request, stage_of(stage).residency, {work.rank, work.path_s, stage});
}

void Coordinator::dispatch() {
  if (stopping_) return;
  held_by_time_ = false;
  while (place_reserved() || place_one() || place_before_drain()) {
  }
}

bool Coordinator::place_reserved() {
  if (reserved_ == 0) return false;
  for (const StageIndex stage : slots_.reserved()) {
    const auto slot = slots_.place_reserved(stage, work_[stage].request);
    if (!slot) continue;
    slots_.release(stage);
    --reserved_;
    place(stage, *slot);
    return true;
  }
  return false;
}

bool Coordinator::place_one() {
  if (slots_.free() == 0 || ready_.size() == 0) return false;
  if (place_first_exclusive()) return true;
  for (const auto* group : ready_.groups()) {
    const StageIndex top = group->entries.begin()->stage;
    if (!starts_in_time(top)) {
      held_by_time_ = true;
      continue;
    }
    if (group->request.exclusive && !exclusive_is_due(*group)) continue;
    const auto slot = slots_.place(group->request, stage_of(top).residency);
    if (slot) {
      const StageIndex stage = prefer_resident(*group, top, *slot);
      take_from_queue(stage);
      place(stage, *slot);
      return true;
    }
    const bool starved = now_s_ - work_[top].ready_since_s >= options_.reserve_after_s;
    if (!group->request.exclusive && !starved) continue;
    if (const auto node = node_to_empty(group->request)) {
      slots_.reserve(top, *node);
      take_from_queue(top);
      work_[top].phase = Phase::kReserved;
      ++reserved_;
      return true;
    }
  }
  return false;
}

// Where a node is empty, an exclusive stage of the trial that is to be completed next starts before
// anything that would have to end for it.
bool Coordinator::place_first_exclusive() {
  StageRank next = std::numeric_limits<StageRank>::max();
  for (const auto* group : ready_.groups()) {
    for (const ReadyQueue::Entry& entry : group->entries) {
      if (entry.rank == kCriticalRank) continue;
      next = std::min(next, entry.rank);
      break;
    }
  }
  for (const auto* group : ready_.groups()) {
    const ReadyQueue::Entry& top = *group->entries.begin();
    if (!group->request.exclusive || top.rank > next || !starts_in_time(top.stage)) continue;
    const auto slot = slots_.place(group->request, stage_of(top.stage).residency);
    if (!slot) continue;
    const StageIndex stage = top.stage;
    take_from_queue(stage);
    place(stage, *slot);
    return true;
  }
  return false;
}

// While a node that is kept for a stage empties, its free slots take what will have ended by then.
bool Coordinator::place_before_drain() {
  if (reserved_ == 0 || slots_.free() == 0) return false;
  for (const auto& [node, kept_for] : slots_.draining()) {
    const std::optional<double> drained_s = drained_at_s(node, work_[kept_for].request.exclusive);
    if (!drained_s) continue;
    for (const auto* group : ready_.groups()) {
      std::size_t looked = 0;
      for (const ReadyQueue::Entry& entry : group->entries) {
        if (++looked > kLookedAt) break;
        const std::string& name = stage_of(entry.stage).name;
        if (!durations_.known(name) || now_s_ + durations_.expected_s(name) > *drained_s) continue;
        if (!starts_in_time(entry.stage)) continue;
        const auto slot = slots_.place_on(node, group->request, stage_of(entry.stage).residency);
        if (!slot) break;  // nothing of this request fits there now
        const StageIndex stage = entry.stage;
        take_from_queue(stage);
        place(stage, *slot);
        return true;
      }
    }
  }
  return false;
}

// When what runs on a node will have ended: all of it, or the first slot's; nothing if that is not
// known.
std::optional<double> Coordinator::drained_at_s(const std::string& node, bool all) const {
  std::optional<double> drained_s;
  for (const SlotId id : slots_.on(node)) {
    const Slot& slot = slots_.slots().at(id);
    if (!slot.running) continue;
    if (!durations_.known(stage_of(slot.running->attempt.stage).name)) return std::nullopt;
    const double end_s = now_s_ + busy_for_s(slot);
    const double other_s = drained_s.value_or(end_s);
    drained_s = all ? std::max(other_s, end_s) : std::min(other_s, end_s);
  }
  return drained_s;
}

StageIndex Coordinator::prefer_resident(const ReadyQueue::Group& group, StageIndex top,
                                        SlotId slot) const {
  const std::string& wanted = stage_of(top).residency;
  const auto& mine = slots_.slots().at(slot).residents;
  // What needs no model starts at once: it ends soon and often completes a trial.
  if (wanted.empty() || std::find(mine.begin(), mine.end(), wanted) != mine.end()) return top;
  const bool critical = work_[top].rank <= kCriticalRank;
  for (const std::string& resident : mine) {
    const auto found = group.by_residency.find(resident);
    if (found == group.by_residency.end()) continue;
    const auto& best = *found->second.begin();
    if (critical &&
        (best.rank > work_[top].rank || best.path_s < kResidentShare * work_[top].path_s)) {
      continue;
    }
    if (starts_in_time(best.stage)) return best.stage;
  }
  return top;
}

// An exclusive stage waits until its node is empty, which idles slots as far as nothing short fills
// them. So they start in batches, each as large as all before it: the first early, for the first
// row of the board, the last ones with little loss; and each when the slots of a node end at about
// the same time.
bool Coordinator::exclusive_is_due(const ReadyQueue::Group& first) {
  std::size_t waiting = 0;
  double take_s = 0;
  for (const auto* group : ready_.groups()) {
    if (!group->request.exclusive) continue;
    const StageIndex top = group->entries.begin()->stage;  // one stands for all: most are alike
    waiting += group->entries.size();
    take_s +=
        static_cast<double>(group->entries.size()) * durations_.expected_s(stage_of(top).name);
  }
  // What is queued behind a stage is asked back for a free slot (retract_waiting).
  const bool queued = std::any_of(slots_.slots().begin(), slots_.slots().end(),
                                  [](const auto& slot) { return !slot.second.waiting.empty(); });
  const bool nothing_else = (ready_.size() == waiting && !queued) || slots_.busy() == 0;
  if (!exclusive_open_ && !nothing_else) {
    if (waiting < exclusive_started_) return false;
    const double waited_s = now_s_ - work_[first.entries.begin()->stage].ready_since_s;
    const double worth_s = kIdleShare * (take_s + (exclusive_started_ == 0 ? waited_s : 0));
    const auto node = node_to_empty(first.request);
    if (!node) return false;
    if (emptying_s(*node) > worth_s * static_cast<double>(slots_.on(*node).size())) return false;
  }
  exclusive_open_ = waiting > 1;
  return true;
}

// Seconds until a slot's stage ends. One that nothing is known of is expected to go on for as long
// as it has, and one that takes longer than expected for as long as it is late.
double Coordinator::running_for_s(const Slot& slot) const {
  if (!slot.running) return 0;
  const std::string& name = stage_of(slot.running->attempt.stage).name;
  const double spent_s = now_s_ - slot.running->since_s;
  const double left_s = durations_.expected_s(name) - spent_s;
  const double more_s = durations_.known(name) ? -left_s : spent_s;
  return std::max({0.0, left_s, more_s});
}

// Seconds until a slot has done what is on it.
double Coordinator::busy_for_s(const Slot& slot) const {
  return running_for_s(slot) + waiting_s(slot);
}

// Slot-seconds that pass idle if a node gets nothing new until all its slots have ended.
double Coordinator::emptying_s(const std::string& node) const {
  double sum_s = 0, longest_s = 0;
  const std::set<SlotId>& members = slots_.on(node);
  for (const SlotId id : members) {
    const double own_s = busy_for_s(slots_.slots().at(id));
    sum_s += own_s;
    longest_s = std::max(longest_s, own_s);
  }
  return static_cast<double>(members.size()) * longest_s - sum_s;
}

// The node that loses least by being kept for the request; nothing if all that could admit it are
// kept for others.
std::optional<std::string> Coordinator::node_to_empty(const ReadyQueue::Request& request) const {
  std::optional<std::string> best;
  double least_s = 0;
  for (const std::string& node : slots_.reservable(request)) {
    const double idle_s = emptying_s(node);
    if (best && idle_s >= least_s) continue;
    best = node;
    least_s = idle_s;
  }
  return best;
}

void Coordinator::place(StageIndex stage, SlotId slot) {
  Work& work = work_[stage];
  work.phase = Phase::kPlaced;
  work.checkpointed = false;
  if (work.request.exclusive) ++exclusive_started_;
  const Attempt attempt{stage, slot, ++work.attempts};
  slots_.start({attempt, work.request, now_s_, false}, stage_of(stage).residency);
  actions_.emplace_back(StartStage{attempt, false});
}

// Expected time of a stage; nothing if none of its name has ended yet.
std::optional<double> Coordinator::known_s(StageIndex stage) const {
  const std::string& name = stage_of(stage).name;
  if (!durations_.known(name)) return std::nullopt;
  return durations_.expected_s(name);
}

// Whether a slot is given one more behind what it runs. One behind a short stage hides the round
// trip. A stage of a millisecond costs less than the sync that publishes it, so many of those wait,
// up to an equal share of what is ready; `busy_s` is the time of all that is on the slot, if known.
bool Coordinator::wants_more(const Slot& slot, std::size_t share,
                             std::optional<double> busy_s) const {
  const std::optional<double> first_s = known_s(slot.running->attempt.stage);
  if (!first_s || *first_s > options_.ahead_horizon_s) return false;
  if (slot.waiting.empty()) return true;
  return slot.waiting.size() < share && busy_s && *busy_s <= options_.deep_horizon_s;
}

void Coordinator::fill_ahead(SlotId id) {
  const Slot* slot = slots_.find(id);
  if (stopping_ || slot == nullptr || slots_.open() > 0) return;
  if (!slot->running || slot->running->stopping) return;
  const std::size_t share =
      std::min(options_.deepest, (ready_.size() + slots_.waiting()) / slots_.busy());
  std::optional<double> busy_s = known_s(slot->running->attempt.stage);
  for (const Occupant& next : slot->waiting) busy_s = sum(busy_s, known_s(next.attempt.stage));
  bool placed = true;
  while (placed && ready_.size() > 0 && wants_more(*slot, share, busy_s)) {
    placed = false;
    for (const auto* group : ready_.groups()) {
      const StageIndex top = group->entries.begin()->stage;
      if (!slots_.admits_ahead(id, group->request) || !starts_in_time(top)) continue;
      // What follows here may complete the first row, and would wait for it.
      if (work_[slot->running->attempt.stage].rank < std::min(work_[top].rank, kCriticalRank)) {
        continue;
      }
      const StageIndex stage = prefer_resident(*group, top, id);
      take_from_queue(stage);
      Work& work = work_[stage];
      work.phase = Phase::kPlaced;
      work.checkpointed = false;
      const Attempt attempt{stage, id, ++work.attempts};
      slots_.queue({attempt, work.request, now_s_, false});
      actions_.emplace_back(StartStage{attempt, true});
      busy_s = sum(busy_s, known_s(stage));
      placed = true;
      break;
    }
  }
}

// The slot that will be the first to end, with what is queued behind it; one that is late already
// does not count.
std::optional<SlotId> Coordinator::first_to_end() const {
  std::optional<SlotId> first;
  double earliest_s = 0;
  for (const auto& [id, slot] : slots_.slots()) {
    if (!slot.running || slot.running->stopping) continue;
    const double expected_s = durations_.expected_s(stage_of(slot.running->attempt.stage).name);
    const double since_s = slot.running->since_s;
    if (now_s_ - since_s > kOverdue * expected_s) continue;
    const double end_s = since_s + expected_s + waiting_s(slot);
    if (first && end_s >= earliest_s) continue;
    first = id;
    earliest_s = end_s;
  }
  return first;
}

// Expected time of what is queued behind a slot's stage.
double Coordinator::waiting_s(const Slot& slot) const {
  double sum_s = 0;
  for (const Occupant& next : slot.waiting) {
    sum_s += durations_.expected_s(stage_of(next.attempt.stage).name);
  }
  return sum_s;
}

void Coordinator::fill_all_ahead() {
  if (ready_.size() == 0 || slots_.open() > 0) return;
  if (ready_.size() < slots_.busy()) {  // behind another slot the last ones would end last
    if (const auto first = first_to_end()) fill_ahead(*first);
    return;
  }
  for (const auto& [id, slot] : slots_.slots()) {
    if (ready_.size() == 0) return;
    if (slot.waiting.empty()) fill_ahead(id);
  }
}

// What waits behind a stage that has long to go, or takes longer than expected, is asked back once
// a slot is free that nothing else can take: what is ready waits for a node of its own, or the slot
// is kept for that, and then what is queued would only delay it.
void Coordinator::retract_waiting() {
  if (slots_.open() == 0) return;
  for (const auto& [id, slot] : slots_.slots()) {
    if (slot.waiting.empty() || !slot.running) continue;
    if (running_for_s(slot) < kWorthMoving) continue;
    for (Occupant& next : slots_.find(id)->waiting) {
      if (next.stopping) continue;
      next.stopping = true;
      actions_.emplace_back(RetractStage{next.attempt});
    }
  }
}

// A stage that can neither finish nor checkpoint before the time limit is not started.
bool Coordinator::starts_in_time(StageIndex stage) const {
  if (options_.time_limit_at_s < 0) return true;
  const std::string& name = stage_of(stage).name;
  if (!durations_.known(name) || checkpoints_by_name_.contains(name)) return true;
  return now_s_ + durations_.expected_s(name) <= options_.time_limit_at_s - options_.stop_grace_s;
}

// From new knowledge, and as the work shrinks, for what is critical depends on what is left.
bool Coordinator::worth_reordering(bool fresh) const {
  return fresh || (learned_ >= 32 && (learned_ & (learned_ - 1)) == 0) ||
         work_left_s() < (1 - kReorderShare) * ordered_at_s_;
}

void Coordinator::order_work(const std::vector<bool>& settled) {
  ordered_at_s_ = work_left_s();
  const std::size_t slots = slots_.slots().size();
  const double critical_s =
      kCriticalShare * ordered_at_s_ / static_cast<double>(std::max<std::size_t>(1, slots));
  const auto path = graph_.remaining_path_s(durations_, settled);
  const auto ranks = graph_.ranks(durations_, settled);
  for (StageIndex i = 0; i < work_.size(); ++i) {
    work_[i].path_s = path[i];
    // On one slot no order ends sooner than another.
    work_[i].rank =
        slots > 1 && path[i] >= critical_s ? std::min(ranks[i], kCriticalRank) : ranks[i];
  }
}

void Coordinator::reorder() {
  std::vector<bool> settled(work_.size());
  std::vector<StageIndex> queued;
  for (StageIndex i = 0; i < work_.size(); ++i) {
    settled[i] = work_[i].phase == Phase::kSettled;
    if (work_[i].phase == Phase::kReady) queued.push_back(i);
  }
  for (const StageIndex i : queued) take_from_queue(i);
  order_work(settled);
  for (const StageIndex i : queued) {
    ready_.add(work_[i].request, stage_of(i).residency, {work_[i].rank, work_[i].path_s, i});
  }
}

}  // namespace assay::schedule
