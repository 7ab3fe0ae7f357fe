#include "methods/cushioncache/parameters.h"

#include "harness/base/error.h"

namespace assay::cushioncache {
namespace {

constexpr int kUsualBits = 8;  // where activations stay float

void visit_longest(std::int64_t& max_prefix, OptionVisitor& option) {
  option(max_prefix, {.name = "max_prefix",
                      .unit = "tokens",
                      .minimum = 1,
                      .maximum = 1024,
                      .doc = "The longest prefix, start tokens included."});
}

void visit_error(ErrorOptions& error, OptionVisitor& option) {
  option.bits(error.bits, "a_bits");
  option(error.range, {.name = "act", .doc = "What shares a range in the quantization error."});
  option(
      error.denominator,
      {.name = "scale_denominator",
       .doc = "Steps of that range at N bits: 2^(N-1) - 1, as the paper prints it, or 2^N - 1."});
}

}  // namespace

void SearchParameters::visit(OptionVisitor& option) {
  option(search.tau, {.name = "tau",
                      .minimum = 0,
                      .maximum = 1,
                      .doc = "A token joins the prefix if it lowers the quantization error to so "
                             "many times or less."});
  visit_longest(search.max_prefix, option);
  option(search.start, {.name = "start",
                        .minimum = 0,
                        .doc = "Token ids that the prefix begins with, such as that of the "
                               "beginning of text or of a line feed."});
  option(length, {.name = "search_length",
                  .unit = "tokens",
                  .minimum = 0,
                  .doc = "Tokens of the text that a step is searched on; 0 takes 512, or what a "
                         "calibration window has."});
  option(search.texts, {.name = "search_texts",
                        .unit = "texts",
                        .minimum = 1,
                        .maximum = 100000,
                        .doc = "Texts whose errors a step adds up; the paper takes one, on which "
                               "a sink that it does not show is not seen."});
  option(candidates, {.name = "candidates",
                      .unit = "tokens",
                      .minimum = 0,
                      .doc = "Only the most frequent so many ids of the calibration text are "
                             "tried; 0 tries the whole vocabulary, as the paper does.",
                      .when = "candidate_ids=[]"});
  option(candidate_ids,
         {.name = "candidate_ids", .minimum = 0, .doc = "Only these ids are tried."});
  visit_error(search.error, option);
}

void TuneParameters::visit(OptionVisitor& option) {
  visit_own(option);
  visit_longest(max_prefix, option);
  visit_error(tuning.error, option);
}

void TuneParameters::visit_own(OptionVisitor& option) {
  option(tune, {.name = "tune", .doc = "Keys and values of the prefix are tuned."});
  option(tuning.lambda, {.name = "lambda",
                         .minimum = 0,
                         .doc = "Weight of the quantization error beside the prediction loss.",
                         .when = "tune=true"});
  option(tuning.error_mean,
         {.name = "error_mean",
          .doc = "What that error is a mean over: tokens, as the prediction loss is, or sequences, "
                 "as the paper's formula reads.",
          .when = "tune=true"});
  option(tuning.epochs, {.name = "epochs",
                         .unit = "epochs",
                         .minimum = 1,
                         .maximum = 10000,
                         .doc = "Passes over the calibration windows.",
                         .when = "tune=true"});
  option(tuning.learning_rate, {.name = "learning_rate",
                                .minimum = 0,
                                .maximum = 10,
                                .doc = "Of AdamW's first step; it falls to 0 in a line.",
                                .when = "tune=true"});
  option(tuning.batch, {.name = "batch",
                        .unit = "windows",
                        .minimum = 1,
                        .maximum = 100000,
                        .doc = "Calibration windows a step.",
                        .when = "tune=true"});
  option(tuning.prediction,
         {.name = "prediction",
          .doc = "The prediction loss of the float network, or of one with rounded activations.",
          .when = "tune=true"});
}

void Parameters::visit(OptionVisitor& option) {
  search.visit(option);
  tune.visit_own(option);
}

ErrorOptions error_of_trial(ErrorOptions error) {
  if (error.bits == kFloatBits) error.bits = kUsualBits;
  if (error.bits > 1 || error.denominator == Denominator::kFull) return error;
  throw Error(ErrorKind::kUnsupported,
              "a_bits = 1 with scale_denominator: printed, which is 2^(1-1) - 1 = 0 steps; take 2 "
              "bits or more, or scale_denominator: full",
              {{"parameter", "a_bits"}, {"value", "1"}});
}

}  // namespace assay::cushioncache
