#include <gtest/gtest.h>

#include <set>

#include "harness/spec/sweep.h"
#include "tests/harness/spec/sweep_fixture.h"
#include "tests/support/sweep_text.h"

// What makes two trials one.

namespace assay::spec {
namespace {

using assay::testing::lines_of;

std::set<std::string> ids_of(const std::string& rest) {
  std::set<std::string> ids;
  const Sweep sweep = sweep_with(rest);
  for (const Trial& trial : sweep.trials) ids.insert(identity_text(sweep, trial));
  return ids;
}

TEST(Identity, does_not_depend_on_spelling_order_blocks_or_unsaid_defaults) {
  const auto once = ids_of("trials:\n  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1}\n");
  ASSERT_EQ(once.size(), 1U);
  for (const char* other :
       {"trials:\n  - {seed: [1], bits: [w4a8, W4A8], method: [psaq_vit], model: [vit]}\n",
        "trials:\n  - {model: vit, method: {psaq_vit: {images: 32}}, bits: W4A8, seed: 1}\n",
        "trials:\n  - model: vit\n    method: psaq_vit\n    bits: W4A8\n    seed: 0x1\n"
        "    psaq_vit: {steps: 500.0, images: 32}\n",
        "trials:\n  - {model: vit, method: psaq_vit, bits: W04A08, seed: 1, calibration_seed: 9}\n",
        "trials:\n"
        "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1}\n"
        "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 1, images: 32}\n"}) {
    EXPECT_EQ(ids_of(other), once) << other;
  }
}

TEST(Identity, depends_on_everything_that_is_read) {
  std::set<std::string> ids;
  for (const char* other : {"{model: vit, method: psaq_vit, bits: W4A8, seed: 1}",
                            "{model: vit2, method: psaq_vit, bits: W4A8, seed: 1}",
                            "{model: vit, method: rtn, bits: W4A8, seed: 1}",
                            "{model: vit, method: psaq_vit, bits: W8A4, seed: 1}",
                            "{model: vit, method: psaq_vit, bits: W4A8, seed: 2}",
                            "{model: vit, method: psaq_vit, bits: W4A8, seed: 1, images: 31}"}) {
    ids.merge(ids_of(std::string("trials:\n  - ") + other + "\n"));
  }
  EXPECT_EQ(ids.size(), 6U);
}

TEST(Identity, its_text_is_the_canonical_json) {
  const Sweep sweep = sweep_with(
      "trials:\n"
      "  - {model: opt, method: [smoothquant + gptq, float], bits: W4A8, calibration_seed: 3}\n"
      "  - {model: vit, method: psaq_vit, bits: W4A8, seed: 9007199254740992}\n");
  ASSERT_EQ(sweep.trials.size(), 3U);
  for (const Trial& trial : sweep.trials) {
    EXPECT_EQ(identity_text(sweep, trial), canonical_json(identity_of(sweep, trial)));
  }
}

TEST(Identity, has_a_seed_only_where_something_random_is_reached) {
  const std::string block = "trials:\n  - {model: opt, method: float, seed: [1, 2]}\n";
  EXPECT_EQ(lines_of(sweep_with(block)), "opt float\n");
  EXPECT_EQ(lines_of(sweep_with(block + "evaluate: [{metric: perplexity}]\n")), "opt float\n");
  // A random metric makes its trials random, and no others.
  EXPECT_EQ(lines_of(sweep_with(block + "  - {model: vit, method: float, seed: [1, 2]}\n"
                                        "evaluate: [{metric: dream}]\n")),
            "opt float seed=1\nopt float seed=2\nvit float\n");
}

}  // namespace
}  // namespace assay::spec
