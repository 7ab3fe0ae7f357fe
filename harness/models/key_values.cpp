#include "harness/models/key_values.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace assay::models {
namespace {

constexpr std::int64_t kPage = 64;  // positions that room is made for at once, at least

at::Tensor joined(const at::Tensor& before, const at::Tensor& own) {
  return at::cat({before.expand({own.size(0), -1, -1, -1}), own}, 2);
}

// `page` with room for `length` positions, what it held at its start.
at::Tensor grown(const at::Tensor& page, std::int64_t length, const at::Tensor& like) {
  const std::int64_t held = page.defined() ? page.size(2) : 0;
  if (held >= length) return page;
  const std::int64_t capacity = std::max({length, 2 * held, kPage});
  at::Tensor larger =
      at::empty({like.size(0), like.size(1), capacity, like.size(3)}, like.options());
  if (held > 0) larger.narrow(2, 0, held).copy_(page);
  return larger;
}

}  // namespace

std::int64_t Prefix::length() const { return empty() ? 0 : units_.front().keys.size(2); }

KeyValues Prefix::extended(std::int64_t unit, const KeyValues& own) {
  if (empty()) return own;
  const KeyValues& before = units_.at(static_cast<std::size_t>(unit));
  return {joined(before.keys, own.keys), joined(before.values, own.values)};
}

KeyValues KeyValueCache::extended(std::int64_t unit, const KeyValues& own) {
  const auto index = static_cast<std::size_t>(unit);
  if (pages_.size() <= index) pages_.resize(index + 1);
  Pages& pages = pages_[index];
  const std::int64_t before = length();
  const std::int64_t after = before + own.keys.size(2);
  const bool first = !pages.keys.defined();
  pages.keys = grown(pages.keys, after, own.keys);
  pages.values = grown(pages.values, after, own.values);
  if (first && !prefix_.empty()) {
    const KeyValues& fixed = prefix_.units().at(index);
    pages.keys.narrow(2, 0, prefix_.length()).copy_(fixed.keys);
    pages.values.narrow(2, 0, prefix_.length()).copy_(fixed.values);
  }
  pages.keys.narrow(2, before, after - before).copy_(own.keys);
  pages.values.narrow(2, before, after - before).copy_(own.values);
  return {pages.keys.narrow(2, 0, after), pages.values.narrow(2, 0, after)};
}

std::vector<KeyValues> KeyValueCache::units() const {
  std::vector<KeyValues> units;
  for (const Pages& pages : pages_) {
    units.push_back({pages.keys.narrow(2, 0, length()), pages.values.narrow(2, 0, length())});
  }
  return units;
}

}  // namespace assay::models
