#pragma once

#include <cstdint>
#include <vector>

#include "harness/contract/declared_options.h"
#include "methods/cushioncache/search.h"
#include "methods/cushioncache/tuning.h"

// Parameters of the method and of its stages, each declared once.

namespace assay::cushioncache {

// Of cushioncache.search.
struct SearchParameters {
  SearchOptions search;
  std::int64_t length = 0;
  std::int64_t candidates = 0;
  std::vector<std::int64_t> candidate_ids;

  void visit(OptionVisitor& option);
};

// Of cushioncache.prefix.
struct TuneParameters {
  TuningOptions tuning;
  bool tune = true;
  std::int64_t max_prefix = SearchOptions().max_prefix;

  void visit(OptionVisitor& option);
  void visit_own(OptionVisitor& option);  // what the search does not read
};

// Of the method.
struct Parameters {
  SearchParameters search;
  TuneParameters tune;

  void visit(OptionVisitor& option);
};

// With the bits that the error is computed for: those of the trial's activations. Throws
// Error(kUnsupported) for bits that leave no step.
ErrorOptions error_of_trial(ErrorOptions error);

}  // namespace assay::cushioncache
