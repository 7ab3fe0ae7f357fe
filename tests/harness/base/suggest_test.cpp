#include "harness/base/suggest.h"

#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Suggest, the_nearest_name_is_offered) {
  EXPECT_EQ(suggestion("aesba", {"aespa", "gptq"}), "; did you mean 'aespa'?");
}

TEST(Suggest, far_names_list_the_legal_ones) {
  EXPECT_EQ(suggestion("xyzzy", {"aespa", "gptq"}), "; legal: aespa, gptq");
}

}  // namespace
}  // namespace assay
