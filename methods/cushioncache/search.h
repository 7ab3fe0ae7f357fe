#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "harness/models/network.h"
#include "methods/cushioncache/quantization_error.h"

// The greedy search for the tokens of a prefix. Source: Son et al. 2024, section 3.1, algorithm 1.

namespace assay::cushioncache {

struct SearchOptions {
  ErrorOptions error;
  double tau = 0.5;              // a token joins if it lowers the error to tau times or less
  std::int64_t max_prefix = 16;  // tokens, those of `start` included
  std::int64_t texts = 1;        // of a step; their errors are summed
  std::vector<std::int64_t> start = {};       // tokens that stand there from the beginning
  std::vector<std::int64_t> candidates = {};  // ids that are tried, in any order
};

// A token that joined.
struct SearchStep {
  std::int64_t token = 0;
  double before = 0;  // error of the step's texts without it
  double after = 0;
};

// Everything that the search knows, and so where it can go on.
struct SearchState {
  std::vector<SearchStep> steps;
  bool finished = false;
  // Of the step to come: candidates tried so far, and the best of them.
  std::int64_t tried = 0;
  std::int64_t best = -1;
  double best_error = std::numeric_limits<double>::infinity();
  double error_before = -1;  // below 0: not computed yet
};

// The error of texts [n, T], summed, behind the network's prefix and `token` (-1: none), whose
// position is not counted. Errors only grow from site to site and text to text: once they are above
// `bound` the rest is not computed, and what is returned is above `bound` too.
double error_of(const models::Network& network, std::int64_t token, const at::Tensor& texts,
                const ErrorOptions& options,
                double bound = std::numeric_limits<double>::infinity());

// texts: int64 [n, T]; step i, counted from the start tokens, takes the next `options.texts` of
// them, round and round. Among candidates
// of one error the smallest id wins. Changes the network's prefix. `visited` is told after every
// candidate (and may throw, to stop): a state that it was shown is one to go on from, with the same
// outcome.
SearchState search(models::Network& network, const at::Tensor& texts, const SearchOptions& options,
                   SearchState state = {},
                   const std::function<void(const SearchState&)>& visited = {});

// Those of `start`, then those that joined.
std::vector<std::int64_t> tokens_of(const SearchOptions& options, const SearchState& state);

// The `count` most frequent ids of texts, or all of a vocabulary (`count` 0), the most frequent
// first, the smaller id first among equals.
std::vector<std::int64_t> frequent_ids(const at::Tensor& texts, std::int64_t vocabulary,
                                       std::int64_t count);

}  // namespace assay::cushioncache
