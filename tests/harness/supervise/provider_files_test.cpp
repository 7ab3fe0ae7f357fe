#include "harness/supervise/provider_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "tests/harness/supervise/supervisor_fixture.h"

// Files of a provider that change after the plan: what it makes from then on is not published.

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ProviderFilesTest : public SupervisorTest {
 protected:
  void SetUp() override {
    SupervisorTest::SetUp();
    for (const char* name : {"echo.py", "echo_catalogue.json"})
      fs::copy_file(fs::path("tests/providers") / name, folder.path() / name);
    options.providers["echo-py"] = {"python3", script.string()};
    plan();
  }

  // As a run does it when it starts.
  void plan() {
    Catalogue named;
    named.files = {(folder.path() / "echo_catalogue.json").string()};
    options.provider_files["echo-py"] =
        files_of_provider(options.providers["echo-py"], named, sha256_file);
  }

  void edit() const { write_file_atomically(script, original + "# edited\n"); }
  void restore() const { write_file_atomically(script, original); }

  Assignment of_python(const std::string& name, Json parameters = Json::object(), int number = 1) {
    return stage(name, std::move(parameters), number, "echo-py");
  }

  void expect_refused(const Report& end, const Assignment& one) {
    EXPECT_EQ(end.kind, ReportKind::kFailed);
    EXPECT_EQ(end.error, ErrorKind::kEnvironment);
    EXPECT_TRUE(end.unusable) << "no fault of the stage";
    EXPECT_THAT(end.message,
                AllOf(HasSubstr(script.string() + " of provider 'echo-py' changed since the plan"),
                      HasSubstr("run the same command again, which plans with the new one")));
    EXPECT_FALSE(store.lookup(one.stage.key)) << "it was published";
  }

  const fs::path script = folder.path() / "echo.py";
  const std::string original = read_file("tests/providers/echo.py");
};

TEST_F(ProviderFilesTest, unchanged_ones_are_no_obstacle) {
  EXPECT_EQ(run(of_python("value")).kind, ReportKind::kPublished);
}

TEST_F(ProviderFilesTest, one_edited_before_the_executor_starts_is_not_started) {
  edit();
  const Assignment one = of_python("value");
  expect_refused(run(one), one);
}

TEST_F(ProviderFilesTest, a_file_that_only_the_catalogue_names_counts_too) {
  fs::remove(folder.path() / "echo_catalogue.json");
  const Report end = run(of_python("value"));
  EXPECT_EQ(end.error, ErrorKind::kEnvironment);
  EXPECT_THAT(end.message, HasSubstr("echo_catalogue.json of provider 'echo-py' changed"));
}

TEST_F(ProviderFilesTest, what_runs_while_one_is_edited_is_not_published) {
  const Assignment one = of_python("sleep", {{"seconds", 0.3}});
  supervisor().start(0, one);
  wait_for_start(one);
  edit();
  expect_refused(wait_for(ReportKind::kFailed), one);
}

TEST_F(ProviderFilesTest, an_idle_executor_gets_no_stage_after_the_edit) {
  EXPECT_EQ(run(of_python("value")).kind, ReportKind::kPublished);
  edit();
  const Assignment next = of_python("sleep", {{"seconds", 60}});
  expect_refused(run(next), next);
}

TEST_F(ProviderFilesTest, one_edited_and_restored_meanwhile_costs_a_second_attempt_only) {
  const Assignment one = of_python("sleep", {{"seconds", 0.3}});
  supervisor().start(0, one);
  wait_for_start(one);
  edit();
  restore();
  const Report end = wait_for(ReportKind::kFailed);
  EXPECT_EQ(end.error, ErrorKind::kEnvironment);
  EXPECT_THAT(end.message, HasSubstr("was written to or replaced since its executor started"));
  finish();
  EXPECT_EQ(run(of_python("sleep", {{"seconds", 0.3}}, 2)).kind, ReportKind::kPublished);
}

TEST_F(ProviderFilesTest, a_failure_of_edited_code_is_not_the_stages) {
  const Assignment one = of_python("hang");
  supervisor().start(0, one);
  wait_for_start(one);
  edit();
  supervisor().kill(one.attempt(), ErrorKind::kCrash, "segmentation fault");
  const Report end = wait_for(ReportKind::kFailed);
  expect_refused(end, one);
  EXPECT_THAT(end.message, HasSubstr("it had failed with: segmentation fault"));
}

TEST_F(ProviderFilesTest, travel_to_other_ranks) {
  const ProviderFiles there = provider_files_from(json_of(options.provider_files));
  const FileSet& mine = options.provider_files.at("echo-py");
  const FileSet& theirs = there.at("echo-py");
  ASSERT_EQ(theirs.size(), mine.size());
  for (std::size_t i = 0; i < mine.size(); ++i) EXPECT_EQ(theirs[i], mine[i]);
}

}  // namespace
}  // namespace assay::supervise
