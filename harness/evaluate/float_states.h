#pragma once

#include <ATen/core/Tensor.h>

#include "datasets/chunks.h"
#include "harness/evaluate/divergence.h"
#include "harness/evaluate/progress.h"
#include "harness/evaluate/windows.h"
#include "harness/models/network.h"
#include "harness/models/tap.h"

// The float model's distributions, kept as what its head turns into logits: hidden states are a
// small part of their size (768 numbers a position in the place of 50,272 for OPT-125M), and the
// head gives the very logits of a whole pass.

namespace assay::evaluate {

// What `model` hands to its head at the positions that predict scored tokens: [positions, ...] in
// its dtype, on the CPU, in text order, of the windows of one shard of `plan`. Throws as
// require_fit().
at::Tensor float_states(const models::Network& model, const WindowedText& text,
                        const datasets::ChunkPlan& plan, const Progress& progress = {});

// The windows of one shard through `network`, position by position against `model`, whose
// float_states() of the same text and plan `states` are. Logits are taken as float32 (float64 for a
// float64 network). Throws as require_fit(), Error(kData) for states of other windows or a network
// of another vocabulary, Error(kMethod) naming the first window whose divergence is not finite.
DivergenceRecords compare_windows(const models::Network& network, models::Tap& tap,
                                  const models::Network& model, const at::Tensor& states,
                                  const WindowedText& text, const datasets::ChunkPlan& plan,
                                  const Progress& progress = {});

}  // namespace assay::evaluate
