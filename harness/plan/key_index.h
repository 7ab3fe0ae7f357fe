#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "harness/plan/stage.h"

namespace assay::plan {

// Finds stages of a plan by their key. One flat table of 8 bytes a slot: a plan has up to millions
// of stages, and a node for each would cost more than the look-up.
class KeyIndex {
 public:
  // The index of the stage of this key; that of one to be added next, `stages.size()`, if there is
  // none yet, and then it is entered.
  std::uint32_t find_or_enter(std::string_view key, const std::vector<Stage>& stages) {
    if (2 * stages.size() >= slots_.size()) grow(4 * stages.size() + 64);
    const std::uint32_t tag = tag_of(key);
    for (std::size_t at = tag & mask(); true; at = (at + 1) & mask()) {
      Slot& slot = slots_[at];
      if (slot.next == 0) {
        slot = {tag, static_cast<std::uint32_t>(stages.size()) + 1};
        return slot.next - 1;
      }
      if (slot.tag == tag && stages[slot.next - 1].key == key) return slot.next - 1;
    }
  }

  void reserve(std::size_t stages) {
    if (2 * stages > slots_.size()) grow(2 * stages);
  }

 private:
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t next = 0;  // index + 1; 0: free
  };

  std::size_t mask() const { return slots_.size() - 1; }

  // Keys are digests: any of their bits will do.
  static std::uint32_t tag_of(std::string_view key) {
    std::uint32_t tag = 0;
    for (const char digit : key.substr(0, 8)) {
      tag = tag << 4 | static_cast<std::uint32_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return tag;
  }

  void grow(std::size_t at_least) {
    std::size_t size = 64;
    while (size < at_least) size *= 2;
    std::vector<Slot> old(size);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.next == 0) continue;
      std::size_t at = slot.tag & mask();
      while (slots_[at].next != 0) at = (at + 1) & mask();
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;
};

}  // namespace assay::plan
