#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "datasets/chunks.h"
#include "harness/evaluate/progress.h"
#include "harness/evaluate/windows.h"
#include "harness/models/network.h"

// The order in which every metric of language models computes windows: results are equal to the
// last bit only where the rows that are computed together are.

namespace assay::evaluate {

// Windows of one size that are computed together.
struct WindowGroup {
  std::vector<std::int64_t> windows;  // indices into WindowedText::windows
  at::Tensor ids;                     // int64 [n, size], a row a window
  at::Tensor input;                   // `ids`, and below them what fills the chunk up: zeros
};

// The windows of one shard of `plan`, in chunks of `plan.chunk` windows; the last one is padded
// with windows of zeros. Of a chunk with windows of several lengths those of one length make a
// group, longest first, so that none is padded: a range of activations would see the padding.
void for_each_group(const WindowedText& text, const datasets::ChunkPlan& plan,
                    const std::function<void(const WindowGroup&)>& compute,
                    const Progress& progress);

// Throws Error(kConfig) for windows longer than the network's context, Error(kData) for ids outside
// its vocabulary.
void require_fit(const models::NetworkInfo& info, const WindowedText& text);

// The rows that predict the window's scored tokens, each from the one before it. of_window: [size,
// ...]; [scored, ...], a view.
at::Tensor predictions(const at::Tensor& of_window, const Window& window);

// The scored tokens themselves. ids: [size]; [scored], a view.
at::Tensor targets(const at::Tensor& ids, const Window& window);

}  // namespace assay::evaluate
