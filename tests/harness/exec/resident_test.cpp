#include "harness/exec/resident.h"

#include <gtest/gtest.h>

namespace assay::exec {
namespace {

std::shared_ptr<void> value() { return std::make_shared<int>(0); }

// Makes no value where there is none.
bool holds(ResidentCache& cache, const std::string& key) {
  struct Absent {};
  try {
    cache.get(key, []() -> std::shared_ptr<void> { throw Absent(); });
    return true;
  } catch (const Absent&) {
    return false;
  }
}

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
  EXPECT_TRUE(holds(cache, "a"));
  EXPECT_TRUE(holds(cache, "c"));
  EXPECT_FALSE(holds(cache, "b"));
}

TEST(ResidentCache, keeps_nothing_of_a_value_whose_making_failed) {
  ResidentCache cache(2);
  EXPECT_THROW(cache.get("a", []() -> std::shared_ptr<void> { throw 1; }), int);
  EXPECT_FALSE(holds(cache, "a"));
}

TEST(ResidentCache, a_held_value_outlives_its_entry) {
  ResidentCache cache(1);
  const auto held = std::static_pointer_cast<int>(cache.get("a", value));
  cache.get("b", value);
  EXPECT_EQ(*held, 0);
}

}  // namespace
}  // namespace assay::exec
