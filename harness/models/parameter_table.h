#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

// The tensors of a network by name, of which some may be deferred: they have values only while
// somebody needs them, so that a network takes the memory of its file and of one unit.

namespace assay::models {

// Parameters and buffers under the names of the checkpoints people have. Assigning to `at(name)`
// changes the network. Not copyable; used by one thread.
//
// The value of a deferred parameter is made anew whenever it is needed: from a mapped file, or from
// codes. Meanwhile its slot is a shape without values (a meta tensor of its dtype). Making it again
// gives the same bits.
class ParameterTable {
 public:
  using Make = std::function<at::Tensor()>;
  using Change = std::function<at::Tensor(const at::Tensor&)>;

  ParameterTable() = default;
  ~ParameterTable();
  ParameterTable(const ParameterTable&) = delete;
  ParameterTable& operator=(const ParameterTable&) = delete;

  void add(const std::string& name, at::Tensor* slot);
  bool contains(const std::string& name) const { return slots_.count(name) > 0; }

  // To be read, changed or assigned to. A deferred one is made, and stays from now on. Throws
  // Error(kData) with the nearest name.
  at::Tensor& at(const std::string& name) const;

  // To be read only: a deferred one stays deferred.
  at::Tensor value(const std::string& name) const;

  // Sizes and dtype alone; the tensor may have no values.
  const at::Tensor& shape(const std::string& name) const;

  // All of them, as `at` and as `shape`.
  const std::map<std::string, at::Tensor*>& slots() const;
  const std::map<std::string, at::Tensor*>& shapes() const { return slots_; }

  // Which parameters may be deferred: those that the network holds (WeightHold) while it computes.
  void allow_deferring(const std::vector<std::string>& names);
  bool may_defer(const std::string& name) const { return deferrable_.count(name) > 0; }

  // From now on `make` gives the values, in the shape of the slot and of dtype `type`; without
  // gradients. Only where may_defer().
  void defer(const std::string& name, at::ScalarType type, Make make);

  // Replaces a value by change(value), of dtype `type`: that of a deferred parameter when it is
  // made, any other at once.
  void update(const std::string& name, at::ScalarType type, Change change);

 private:
  friend class WeightHold;

  using Names = std::vector<std::string>;

  struct Deferred {
    Make make;
    bool made = false;
    int holds = 0;
    std::int64_t kept_bytes = 0;  // counted against the limit of kept weights
    std::uint64_t last_use = 0;
  };

  at::Tensor* slot(const std::string& name) const;
  void hold(const Names& names) const;
  void release(const Names& names, std::size_t count, bool last_use) const;  // the first `count`
  void make(const std::string& name, Deferred& deferred) const;
  void drop(const std::string& name, Deferred& deferred) const;
  void keep_or_drop(const std::string& name, Deferred& deferred) const;
  static bool drop_least_recent(const ParameterTable& wanting);

  std::map<std::string, at::Tensor*> slots_;
  std::set<std::string> deferrable_;
  mutable std::map<std::string, Deferred> deferred_;
  mutable std::vector<const Names*> held_;
};

// While it lives, the deferred parameters among `names` have values. Holds may overlap. Borrows
// both. `last_use`: nobody will ask for these values again, so none are kept.
class WeightHold {
 public:
  WeightHold() = default;  // holds nothing
  WeightHold(const ParameterTable& table, const std::vector<std::string>& names,
             bool last_use = false);
  ~WeightHold();
  WeightHold(const WeightHold&) = delete;
  WeightHold& operator=(const WeightHold&) = delete;

 private:
  const ParameterTable* table_ = nullptr;
  const std::vector<std::string>* names_ = nullptr;
  bool last_use_ = false;
};

// Weights that were made stay after their hold as long as those of all networks of this process
// that nobody holds take at most so many bytes, the least recently used of other networks giving
// way: small networks are made once. 512 MB unless it is set; no bit depends on it.
constexpr std::int64_t kDefaultKeptWeights = 512'000'000;
void limit_kept_weights(std::int64_t bytes);

}  // namespace assay::models
