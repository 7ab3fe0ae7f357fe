#include "harness/schedule/coordinator.h"

#include <algorithm>

// Slots that cannot start a provider: a node with a broken installation, a program that is being
// built anew. They are left alone for a while, then for good; their stages go elsewhere.

namespace assay::schedule {

void Coordinator::strike(const Attempt& attempt, const std::string& message) {
  const std::string& provider = stage_of(attempt.stage).provider;
  Trouble& trouble = troubles_[{attempt.slot, provider}];
  // What was queued there fails at the same moment for the same reason.
  if (trouble.retired || (trouble.strikes > 0 && now_s_ < trouble.until_s)) return;
  last_trouble_ = message;
  trouble.retired = ++trouble.strikes >= options_.slot_strikes;
  trouble.until_s = now_s_ + options_.slot_backoff_s * (1 << (trouble.strikes - 1));
  slots_.bar(attempt.slot, provider);
  if (trouble.retired) actions_.emplace_back(RetireSlot{attempt.slot, provider, message});
  for (Occupant& next : slots_.find(attempt.slot)->waiting) {
    if (next.stopping || next.request.provider != provider) continue;
    next.stopping = true;
    actions_.emplace_back(RetractStage{next.attempt});
  }
}

// A stage of the provider has run there.
void Coordinator::absolve(const Attempt& attempt) {
  if (troubles_.empty()) return;
  const std::string& provider = stage_of(attempt.stage).provider;
  const auto found = troubles_.find({attempt.slot, provider});
  if (found == troubles_.end() || found->second.retired) return;
  troubles_.erase(found);
  slots_.unbar(attempt.slot, provider);
}

// Another try for those whose time is over.
void Coordinator::forgive() {
  for (const auto& [key, trouble] : troubles_) {
    if (!trouble.retired && now_s_ >= trouble.until_s) slots_.unbar(key.first, key.second);
  }
}

// Whether each stage that could run belongs to a provider that every slot was retired for.
bool Coordinator::nothing_can_start() const {
  if (troubles_.empty() || ready_.size() + reserved_ == 0 || slots_.slots().empty()) return false;
  const auto retired_everywhere = [&](const std::string& provider) {
    return std::all_of(slots_.slots().begin(), slots_.slots().end(), [&](const auto& entry) {
      const auto found = troubles_.find({entry.first, provider});
      return found != troubles_.end() && found->second.retired;
    });
  };
  return std::all_of(work_.begin(), work_.end(), [&](const Work& work) {
    const bool waits_for_a_slot = work.phase == Phase::kReady || work.phase == Phase::kReserved;
    return work.phase != Phase::kElsewhere &&
           (!waits_for_a_slot || retired_everywhere(work.request.provider));
  });
}

}  // namespace assay::schedule
