#include "results/board/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay::results {
namespace {

using ::testing::HasSubstr;

const Json& result() {
  static const Json value = Json::parse(R"({"tensors": [
      {"name": "b.weight", "shape": [8], "state": "float", "bits": 16, "as": "not a weight of a layer"},
      {"name": "a.weight", "shape": [4, 8], "state": "quantized", "bits": 4.5, "as": "rtn: 4 bits"},
      {"name": "c.weight", "shape": [4, 24], "state": "quantized", "bits": 4.1, "as": "rtn: 4 bits"}
      ]})");
  return value;
}

TEST(Tensors, those_that_are_stored_alike_are_one_row) {
  const Table table = tensor_summary(result());
  ASSERT_EQ(table.rows.size(), 2U);
  EXPECT_EQ(table.rows[0][0].text, "quantized");
  EXPECT_EQ(table.rows[0][2].text, "2");
  EXPECT_EQ(table.rows[0][3].text, "128");
  EXPECT_EQ(table.rows[0][4].text, "4.200");  // (32 * 4.5 + 96 * 4.1) / 128
  EXPECT_EQ(table.rows[1][1].text, "not a weight of a layer");
}

TEST(Tensors, or_each_has_a_row) {
  const Table table = tensor_table(result());
  ASSERT_EQ(table.rows.size(), 3U);
  EXPECT_EQ(table.rows[1][0].text, "a.weight");
  EXPECT_EQ(table.rows[1][1].text, "4 x 8");
  EXPECT_THAT(render({table}, {}), HasSubstr("rtn: 4 bits"));
}

TEST(Tensors, what_a_provider_says_in_another_form_is_passed_over) {
  for (const char* text :
       {R"({})", R"(null)", R"({"tensors": 3})", R"({"tensors": [3, null, {}]})",
        R"({"tensors": [{"name": 1, "state": "float", "shape": [], "bits": 2}]})",
        R"({"tensors": [{"name": "a", "state": "float", "shape": 1, "bits": 2}]})"})
    EXPECT_TRUE(tensor_summary(Json::parse(text)).rows.empty()) << text;
}

}  // namespace
}  // namespace assay::results
