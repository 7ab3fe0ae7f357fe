#include "harness/exec/resident.h"

#include <gmock/gmock.h>

namespace assay::exec {
namespace {

std::shared_ptr<void> value() { return std::make_shared<int>(0); }

TEST(ResidentCache, makes_a_value_once) {
  ResidentCache cache(2);
  const auto first = cache.get("a", value);
  EXPECT_EQ(cache.get("a", value), first);
}

TEST(ResidentCache, drops_the_least_recently_used_value) {
  ResidentCache cache(2);
  cache.get("a", value);
  cache.get("b", value);
  cache.get("a", value);
  cache.get("c", value);
  EXPECT_THAT(cache.keys(), testing::ElementsAre("c", "a"));
}

TEST(ResidentCache, keeps_nothing_of_a_value_whose_making_failed) {
  ResidentCache cache(2);
  EXPECT_THROW(cache.get("a", []() -> std::shared_ptr<void> { throw 1; }), int);
  EXPECT_TRUE(cache.keys().empty());
}

TEST(ResidentCache, a_held_value_outlives_its_entry) {
  ResidentCache cache(1);
  const auto held = std::static_pointer_cast<int>(cache.get("a", value));
  cache.get("b", value);
  EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace assay::exec
