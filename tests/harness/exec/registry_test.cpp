#include "harness/exec/registry.h"

#include <gmock/gmock.h>

#include "harness/base/error.h"

namespace assay::exec {
namespace {

StageImplementation stage(const char* name) {
  StageDeclaration declaration;
  declaration.name = name;
  return {declaration, [](StageContext&) { return Json::object(); }};
}

TEST(Registry, a_name_that_is_registered_twice_is_an_error) {
  Registry registry;
  registry.add(stage("a"));
  try {
    registry.add(stage("a"));
    FAIL() << "a duplicate passed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_THAT(error.what(), testing::HasSubstr("stage 'a' is registered twice"));
  }
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
