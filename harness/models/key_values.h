#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// Keys and values that stand before the tokens of a pass: a prefix, or what decoding has seen.

namespace assay::models {

// Of one unit, for m positions: [1 or B, H_kv, m, d_h] each. Keys are what scores are made of: with
// a rotary embedding they are turned to their positions 0 .. m - 1.
struct KeyValues {
  at::Tensor keys, values;
};

// What attention sees before the tokens of a pass.
class Past {
 public:
  virtual ~Past() = default;

  // The position of the pass's first token.
  virtual std::int64_t length() const = 0;

  // Those of the unit, followed by the pass's own [B, H_kv, T, d_h].
  virtual KeyValues extended(std::int64_t unit, const KeyValues& own) = 0;
};

// The same before every sequence, and never changed by a pass. Empty by default.
class Prefix final : public Past {
 public:
  Prefix() = default;
  // One pair a unit, [1, H_kv, m, d_h].
  explicit Prefix(std::vector<KeyValues> units) : units_(std::move(units)) {}

  bool empty() const { return units_.empty(); }
  const std::vector<KeyValues>& units() const { return units_; }

  std::int64_t length() const override;
  KeyValues extended(std::int64_t unit, const KeyValues& own) override;

 private:
  std::vector<KeyValues> units_;
};

// Grows by the tokens of every pass (Network::decode). Used with one network and one batch size.
class KeyValueCache final : public Past {
 public:
  explicit KeyValueCache(const Prefix& prefix = {}) : prefix_(prefix) {}

  std::int64_t length() const override { return prefix_.length() + tokens_; }
  KeyValues extended(std::int64_t unit, const KeyValues& own) override;

  // For the network, when all its units have taken `tokens` more.
  void advance(std::int64_t tokens) { tokens_ += tokens; }

  // What the tokens so far have left, the prefix included, one pair a unit.
  std::vector<KeyValues> units() const;

 private:
  struct Pages {
    at::Tensor keys, values;  // [B, H_kv, capacity, d_h]
  };

  Prefix prefix_;
  std::int64_t tokens_ = 0;  // beside the prefix
  std::vector<Pages> pages_;
};

}  // namespace assay::models
