#include "methods/cushioncache/search.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <numeric>

#include "harness/models/generation.h"

namespace assay::cushioncache {
namespace {

// Below this part of the activations' energy an error is rounding noise, and no token helps.
constexpr double kNothing = 1e-12;

at::Tensor as_tensor(const std::vector<std::int64_t>& ids) { return at::tensor(ids, at::kLong); }

struct Errors {
  double error = 0, energy = 0;
};

Errors errors_of(const models::Network& network, std::int64_t token, const at::Tensor& texts,
                 const ErrorOptions& options, double bound) {
  const at::NoGradGuard no_gradients;
  const bool added = token >= 0;
  ErrorTap tap(error_sites(network), options, added ? 1 : 0);
  double error = 0;
  for (std::int64_t row = 0; row < texts.size(0) && error <= bound; ++row) {
    at::Tensor tokens = texts.narrow(0, row, 1);
    if (added) tokens = at::cat({at::full({1, 1}, token, tokens.options()), tokens}, 1);
    at::Tensor hidden = network.embed(tokens, tap);
    for (std::int64_t i = 0; i < network.unit_count() && error <= bound; ++i) {
      hidden = network.unit(i, hidden, tap);
      error = tap.total().item<double>();
    }
  }
  return {error, tap.energy()};
}

// Those of a step.
at::Tensor texts_of(const at::Tensor& texts, std::int64_t step, std::int64_t count) {
  const at::Tensor rows = (at::arange(count) + step * count).remainder(texts.size(0));
  return texts.index_select(0, rows.to(texts.device()));
}

// Whether the first is the better choice.
bool better(double error, std::int64_t id, const SearchState& than) {
  if (error != than.best_error) return error < than.best_error;
  return than.best < 0 || id < than.best;
}

}  // namespace

double error_of(const models::Network& network, std::int64_t token, const at::Tensor& texts,
                const ErrorOptions& options, double bound) {
  return errors_of(network, token, texts, options, bound).error;
}

std::vector<std::int64_t> tokens_of(const SearchOptions& options, const SearchState& state) {
  std::vector<std::int64_t> tokens = options.start;
  for (const SearchStep& step : state.steps) tokens.push_back(step.token);
  return tokens;
}

SearchState search(models::Network& network, const at::Tensor& texts, const SearchOptions& options,
                   SearchState state, const std::function<void(const SearchState&)>& visited) {
  const auto limit = options.max_prefix - static_cast<std::int64_t>(options.start.size());
  const auto candidates = static_cast<std::int64_t>(options.candidates.size());
  while (!state.finished && static_cast<std::int64_t>(state.steps.size()) < limit) {
    network.set_prefix({});
    network.set_prefix(
        models::prefix_of(network, as_tensor(tokens_of(options, state)).to(texts.device())));
    const at::Tensor own =
        texts_of(texts, static_cast<std::int64_t>(state.steps.size()), options.texts);
    if (state.error_before < 0) {
      const Errors without =
          errors_of(network, -1, own, options.error, std::numeric_limits<double>::infinity());
      state.error_before = without.error;
      if (without.error <= kNothing * without.energy) {
        state.finished = true;
        break;
      }
    }
    // No token above it is taken, so it need not be known how far above it is.
    const double taken = options.tau * state.error_before;
    while (state.tried < candidates) {
      const std::int64_t id = options.candidates[static_cast<std::size_t>(state.tried)];
      const double error =
          error_of(network, id, own, options.error, std::min(taken, state.best_error));
      if (error <= taken && better(error, id, state)) {
        state.best = id;
        state.best_error = error;
      }
      ++state.tried;
      if (visited) visited(state);
    }
    const SearchStep step{state.best, state.error_before, state.best_error};
    const bool found = state.best >= 0;
    SearchState next{.steps = std::move(state.steps), .finished = !found};
    if (found) next.steps.push_back(step);
    state = std::move(next);
  }
  state.finished = true;
  return state;
}

std::vector<std::int64_t> frequent_ids(const at::Tensor& texts, std::int64_t vocabulary,
                                       std::int64_t count) {
  const at::Tensor counts = texts.flatten().bincount({}, vocabulary).to(at::kCPU);
  const std::int64_t* const times = counts.const_data_ptr<std::int64_t>();
  std::vector<std::int64_t> ids(static_cast<std::size_t>(vocabulary));
  std::iota(ids.begin(), ids.end(), std::int64_t{0});
  std::stable_sort(ids.begin(), ids.end(),
                   [&](std::int64_t a, std::int64_t b) { return times[a] > times[b]; });
  if (count > 0 && count < vocabulary) ids.resize(static_cast<std::size_t>(count));
  return ids;
}

}  // namespace assay::cushioncache
