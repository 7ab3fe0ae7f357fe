#include "harness/evaluate/float_states.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "harness/base/error.h"
#include "harness/evaluate/network_traits.h"
#include "harness/evaluate/window_groups.h"

namespace assay::evaluate {
namespace {

// Where the positions of each window of a shard begin among those of the shard, and their number.
class Positions {
 public:
  Positions(const WindowedText& text, const datasets::ChunkPlan& plan)
      : windows_(datasets::samples_of(plan)) {
    for (std::int64_t i = windows_.begin; i < windows_.end; ++i) {
      begins_.push_back(count_);
      count_ += text.windows[static_cast<std::size_t>(i)].scored;
    }
  }

  std::int64_t count() const { return count_; }

  // The rows of a window among `of_shard`, [count, ...].
  at::Tensor rows(const at::Tensor& of_shard, std::int64_t window, std::int64_t scored) const {
    return of_shard.narrow(0, begins_[static_cast<std::size_t>(window - windows_.begin)], scored);
  }

 private:
  datasets::Range windows_;
  std::vector<std::int64_t> begins_;
  std::int64_t count_ = 0;
};

std::vector<std::int64_t> shape_of(std::int64_t rows, at::IntArrayRef row) {
  std::vector<std::int64_t> shape = {rows};
  shape.insert(shape.end(), row.begin(), row.end());
  return shape;
}

// Fills in `records` what `part` says of a window; `window` counts from the shard's first.
void enter(const PositionDivergence& part, const Positions& positions, std::int64_t number,
           std::int64_t window, const Window& of, const DivergenceRecords& records) {
  const auto rows = [&](const at::Tensor& all) { return positions.rows(all, number, of.scored); };
  rows(records.token_kld).copy_(part.kld);
  rows(records.token_entropy).copy_(part.entropy);
  rows(records.token_delta_p).copy_(part.delta_p);
  rows(records.token_same_top).copy_(part.same_top);
  records.window_tokens[window].fill_(of.scored);
  records.window_size[window].fill_(of.size());
  records.window_kld[window].copy_(part.kld.sum());
  records.window_same_top[window].copy_(part.same_top.sum().mul(100));
  records.window_ln_ratio[window].copy_(part.ln_ratio.sum());
  records.window_delta_p_squared[window].copy_(part.delta_p.square().sum());
}

DivergenceRecords empty_records(std::int64_t windows, std::int64_t positions) {
  return {.window_tokens = at::zeros({windows}, at::kLong),
          .window_size = at::zeros({windows}, at::kLong),
          .window_kld = at::zeros({windows}, at::kDouble),
          .window_same_top = at::zeros({windows}, at::kDouble),
          .window_ln_ratio = at::zeros({windows}, at::kDouble),
          .window_delta_p_squared = at::zeros({windows}, at::kDouble),
          .token_kld = at::zeros({positions}, at::kDouble),
          .token_entropy = at::zeros({positions}, at::kFloat),
          .token_delta_p = at::zeros({positions}, at::kFloat),
          .token_same_top = at::zeros({positions}, at::kByte)};
}

// The float model's logits for a group, to the bit those of a whole pass: the head is given as many
// rows as there, since a row's bits may depend on their number. Rows that predict nothing scored
// are zeros.
at::Tensor float_logits(const models::Network& model, const at::Tensor& states,
                        const Positions& positions, const WindowedText& text,
                        const WindowGroup& group) {
  std::vector<std::int64_t> shape = shape_of(group.input.size(1), states.sizes().slice(1));
  shape.insert(shape.begin(), group.input.size(0));
  const at::Tensor hidden = at::zeros(shape, states.options());
  for (std::size_t row = 0; row < group.windows.size(); ++row) {
    const Window& window = text.windows[static_cast<std::size_t>(group.windows[row])];
    predictions(hidden[static_cast<std::int64_t>(row)], window)
        .copy_(positions.rows(states, group.windows[row], window.scored));
  }
  models::Untapped tap;
  return model.head(hidden.to(traits_of(model).device), tap);
}

// A whole pass of `model` up to its head.
at::Tensor last_hidden(const models::Network& model, const at::Tensor& input) {
  models::Untapped tap;
  at::Tensor hidden = model.embed(input, tap);
  for (std::int64_t unit = 0; unit < model.unit_count(); ++unit) {
    hidden = model.unit(unit, hidden, tap);
  }
  return hidden;
}

}  // namespace

at::Tensor float_states(const models::Network& model, const WindowedText& text,
                        const datasets::ChunkPlan& plan, const Progress& progress) {
  const c10::InferenceMode inference;
  require_fit(model.info(), text);
  const at::Device device = traits_of(model).device;
  const Positions positions(text, plan);
  at::Tensor states;
  const auto compute = [&](const WindowGroup& group) {
    const at::Tensor hidden = last_hidden(model, group.input.to(device));
    if (!states.defined()) {
      states = at::empty(shape_of(positions.count(), hidden.sizes().slice(2)),
                         hidden.options().device(at::kCPU));
    }
    for (std::size_t row = 0; row < group.windows.size(); ++row) {
      const std::int64_t number = group.windows[row];
      const Window& window = text.windows[static_cast<std::size_t>(number)];
      positions.rows(states, number, window.scored)
          .copy_(predictions(hidden[static_cast<std::int64_t>(row)], window));
    }
  };
  for_each_group(text, plan, compute, progress);
  return states.defined() ? states : at::empty({0});
}

DivergenceRecords compare_windows(const models::Network& network, models::Tap& tap,
                                  const models::Network& model, const at::Tensor& states,
                                  const WindowedText& text, const datasets::ChunkPlan& plan,
                                  const Progress& progress) {
  const c10::InferenceMode inference;
  require_fit(network.info(), text);
  const at::Device device = traits_of(network).device;
  const Positions positions(text, plan);
  if (states.dim() < 1 || states.size(0) != positions.count()) {
    throw Error(ErrorKind::kData,
                fmt::format("the float model's states have shape [{}], the shard {} positions",
                            fmt::join(states.sizes(), ", "), positions.count()));
  }
  const datasets::Range mine = datasets::samples_of(plan);
  DivergenceRecords records = empty_records(mine.size(), positions.count());
  const auto compute = [&](const WindowGroup& group) {
    const at::Tensor q = network.forward(group.input.to(device), tap);
    const at::Tensor p = float_logits(model, states, positions, text, group);
    if (p.sizes() != q.sizes()) {
      throw Error(ErrorKind::kData,
                  fmt::format("the network has a vocabulary of {}, the float model one of {}",
                              q.size(-1), p.size(-1)));
    }
    for (std::size_t row = 0; row < group.windows.size(); ++row) {
      const auto at = static_cast<std::int64_t>(row);
      const std::int64_t number = group.windows[row];
      const Window& window = text.windows[static_cast<std::size_t>(number)];
      const PositionDivergence part =
          divergence(predictions(p[at], window), predictions(q[at], window),
                     targets(group.ids[at], window).to(device));
      if (!part.kld.isfinite().all().item<bool>()) {
        throw Error(ErrorKind::kMethod,
                    fmt::format("the network's divergence from the float model is not finite in "
                                "window {}",
                                number));
      }
      enter(part, positions, number, number - mine.begin, window, records);
    }
  };
  for_each_group(text, plan, compute, progress);
  return records;
}

}  // namespace assay::evaluate
