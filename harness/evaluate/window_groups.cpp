#include "harness/evaluate/window_groups.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.h"
#include "harness/evaluate/fit.h"

namespace assay::evaluate {
namespace {

using Rows = std::vector<std::int64_t>;  // indices of windows

// Token ids of windows of one size: int64 [rows, size].
at::Tensor ids_of(const WindowedText& text, const Rows& rows) {
  const std::int64_t size = text.windows[static_cast<std::size_t>(rows.front())].size();
  at::Tensor ids = at::empty({static_cast<std::int64_t>(rows.size()), size}, at::kLong);
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const Window& window = text.windows[static_cast<std::size_t>(rows[row])];
    const at::Tensor own = ids[static_cast<std::int64_t>(row)];
    if (window.bos) {
      own[0].fill_(*text.bos);
    }
    own.narrow(0, size - window.length, window.length)
        .copy_(text.ids.narrow(0, window.begin, window.length));
  }
  return ids;
}

// The windows of a range by size, longest first.
std::map<std::int64_t, Rows, std::greater<>> by_size(const WindowedText& text,
                                                     datasets::Range range) {
  std::map<std::int64_t, Rows, std::greater<>> groups;
  for (std::int64_t i = range.begin; i < range.end; ++i) {
    groups[text.windows[static_cast<std::size_t>(i)].size()].push_back(i);
  }
  return groups;
}

}  // namespace

void for_each_group(const WindowedText& text, const datasets::ChunkPlan& plan,
                    const std::function<void(const WindowGroup&)>& compute,
                    const Progress& progress) {
  const datasets::Range chunks = datasets::chunks_of(plan);
  const datasets::Range mine = datasets::samples_of(plan);
  for (std::int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
    const datasets::Range range = datasets::samples_of(plan, chunk);
    const auto groups = by_size(text, range);
    for (const auto& [size, rows] : groups) {
      const at::Tensor ids = ids_of(text, rows);
      const std::int64_t padding = groups.size() == 1 ? plan.chunk - range.size() : 0;
      compute({rows, ids, datasets::padded(ids, ids.size(0) + padding)});
    }
    if (progress) {
      progress(range.end - mine.begin, mine.size());
    }
  }
}

void require_fit(const models::NetworkInfo& info, const WindowedText& text) {
  require_context(info, text.context);
  if (text.ids.numel() == 0) return;
  const std::int32_t bos = text.bos_rule == "none" ? 0 : text.bos.value_or(0);
  require_vocabulary(info, std::max(text.ids.max().item<std::int32_t>(), bos));
  if (const auto least = text.ids.min().item<std::int32_t>(); least < 0) {
    throw Error(ErrorKind::kData, fmt::format("the text holds token id {}", least));
  }
}

at::Tensor predictions(const at::Tensor& of_window, const Window& window) {
  return of_window.narrow(0, window.size() - window.scored - 1, window.scored);
}

at::Tensor targets(const at::Tensor& ids, const Window& window) {
  return ids.narrow(0, window.size() - window.scored, window.scored);
}

}  // namespace assay::evaluate
