#include "harness/exec/registry.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"
#include "tests/support/refusal.h"

namespace assay::exec {
namespace {

using assay::testing::refusal;

StageImplementation stage(const char* name) {
  StageDeclaration declaration;
  declaration.name = name;
  return {declaration, [](StageContext&) { return Json::object(); }};
}

TEST(Registry, a_name_that_is_registered_twice_is_an_error) {
  Registry registry;
  registry.add(stage("a"));
  EXPECT_THAT(refusal([&] { registry.add(stage("a")); }),
              ::testing::HasSubstr("config: stage 'a' is registered twice"));
}

TEST(Registry, declares_what_it_was_given) {
  Registry registry;
  registry.add(stage("a"));
  EXPECT_NE(registry.catalogue().find_stage("a"), nullptr);
  EXPECT_NO_THROW(registry.body("a"));
  EXPECT_THROW(registry.body("b"), Error);
}

}  // namespace
}  // namespace assay::exec
