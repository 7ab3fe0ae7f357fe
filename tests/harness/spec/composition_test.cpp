#include "harness/spec/composition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"
#include "tests/support/sweep_text.h"
#include "tests/support/test_catalogue.h"

namespace assay::spec {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

MethodDeclaration method(const std::string& name, std::vector<std::string> traits) {
  return {.name = name, .traits = std::move(traits), .network = name};
}

// Two quantizers, a training, a float method, and one that starts from the model again.
Catalogue catalogue() {
  Catalogue all;
  all.provider = "test";
  for (const char* name : {"round", "finer", "train"}) {
    all.stages.push_back({.name = name, .reads_network = true});
  }
  all.stages.push_back({.name = "deaf"});
  all.stages.push_back({.name = "twofold", .inputs = {{.name = "network", .stage = "round"}}});
  all.methods = {method("round", {"quantizer"}), method("finer", {"quantizer"}),
                 method("train", {"trains"}), method("deaf", {"quantizer"}),
                 method("twofold", {"quantizer"})};
  all.methods.push_back({.name = "float", .traits = {"float"}});
  return all;
}

std::string verdict(const std::string& text) {
  const Catalogue all = catalogue();
  Place place;
  place.file = std::make_shared<const std::string>("s.yaml");
  place.line = 3;
  return refusal([&] { check_composition(all, method_expression(text, place, all), place); });
}

TEST(Composition, methods_that_work_on_each_others_networks_go_together) {
  for (const char* text :
       {"round", "deaf", "train + round", "train + train + round + finer", "round + finer",
        "float + round", "round + float", "float + deaf", "train + twofold + finer"}) {
    EXPECT_EQ(verdict(text), "no error") << text;
  }
}

TEST(Composition, a_step_that_starts_from_the_model_again_loses_what_was_made) {
  EXPECT_THAT(verdict("train + deaf"),
              HasSubstr("'deaf' does not work on the network that 'train' made (its stage 'deaf' "
                        "lacks reads_network)"));
}

TEST(Composition, training_after_rounding_is_not_called_quantized) {
  EXPECT_THAT(verdict("round + train"),
              HasSubstr("'train' makes a network of its own from what 'round' quantized, and that "
                        "network is not quantized any more; write 'train + round'"));
  EXPECT_THAT(verdict("train + round + train"), HasSubstr("write 'train + round'"));
}

TEST(Composition, is_checked_when_the_sweep_is_read) {
  EXPECT_THAT(
      assay::testing::refusal_of(assay::testing::kModels +
                                 std::string("trials:\n  - {model: opt, method: [rtn, rtn + "
                                             "smoothquant], bits: W8A8}\n")),
      HasSubstr("sweep.yaml:8:32: 'rtn + smoothquant': 'smoothquant' does not work on the network"));
}

}  // namespace
}  // namespace assay::spec
