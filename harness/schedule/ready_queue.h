#pragma once

#include <compare>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "harness/schedule/event.h"
#include "harness/schedule/work_graph.h"

namespace assay::schedule {

// Stages that wait for a slot, in the order that the coordinator wants them. Those that ask for the
// same thing form a group, so that finding what fits a slot costs the number of groups, not of
// stages.
class ReadyQueue {
 public:
  struct Request {
    Resources resources;
    bool exclusive = false;
    SlotId avoid = -1;  // a slot where it crashed
    std::string provider = {};
  };
  struct Entry {
    StageRank rank = kCriticalRank;
    double path_s = 0;
    StageIndex stage = 0;

    // By rank, then the longer path first, then the order of the plan.
    bool operator<(const Entry& other) const {
      if (rank != other.rank) return rank < other.rank;
      if (path_s != other.path_s) return path_s > other.path_s;
      return stage < other.stage;
    }
  };
  struct Group {
    Request request;
    std::set<Entry> entries;
    std::map<std::string, std::set<Entry>, std::less<>>
        by_residency;  // without those that have none
  };

  void add(const Request& request, const std::string& residency, Entry entry);
  void remove(const Request& request, const std::string& residency, Entry entry);
  std::size_t size() const { return size_; }

  // Groups with something in them, in the order of their first entries. Valid until the next
  // change.
  std::vector<const Group*> groups() const;

 private:
  struct Order {
    bool operator()(const Request& a, const Request& b) const;
  };
  std::map<Request, Group, Order> groups_;
  std::size_t size_ = 0;
};

}  // namespace assay::schedule
