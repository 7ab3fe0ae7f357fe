#include "harness/supervise/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay::supervise {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

plan::Stage stage() {
  plan::Stage made;
  made.name = "echo.value";
  made.key = std::string(64, 'a');
  return made;
}

Json assembled(const Json& returned) {
  return assembled_result(returned, stage(), Json::object(), record::AttemptRecord());
}

void expect_refused(const Json& returned, const std::string& problem) {
  EXPECT_THAT(refusal([&] { assembled(returned); }),
              HasSubstr("data: result of stage 'echo.value': " + problem))
      << returned;
}

TEST(Result, keeps_what_a_stage_returned_beside_what_the_supervisor_knows) {
  const Json result = assembled({{"metrics", {{"top1", 0.5}}}, {"note", "x"}});
  EXPECT_EQ(result["metrics"]["top1"], 0.5);
  EXPECT_EQ(result["note"], "x");
  EXPECT_EQ(result["stage"], "echo.value");
}

TEST(Result, members_of_the_supervisor_are_refused) {
  for (const char* name : {"stage", "key", "files", "attempt", "digest", "digests"}) {
    expect_refused({{name, Json::object()}},
                   "member '" + std::string(name) + "' is set by the supervisor");
  }
}

TEST(Result, figures_that_a_double_does_not_hold_are_refused) {
  const std::int64_t largest = std::int64_t{1} << 53;
  for (const std::int64_t held : {largest, -largest}) {
    EXPECT_EQ(assembled({{"metrics", {{"n", held}}}})["metrics"]["n"], held);
  }
  expect_refused({{"metrics", {{"n", largest + 1}}}}, "metric 'n' is 9007199254740993");
  expect_refused({{"metrics", {{"n", -largest - 1}}}}, "metric 'n' is -9007199254740993");
  expect_refused({{"metrics", {{"n", ~std::uint64_t{0}}}}}, "metric 'n' is 18446744073709551615");
}

}  // namespace
}  // namespace assay::supervise
