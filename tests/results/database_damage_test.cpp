#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "results/store/reader.h"
#include "tests/results/database_fixture.h"

// Databases that do not hold what was written to them.

namespace assay::results {
namespace {

using ::testing::HasSubstr;

TEST_F(DatabaseTest, a_file_that_is_no_database_is_refused_with_the_mend) {
  write_file_atomically(file, std::string(4096, 'x'));
  expect_refused(ErrorKind::kEnvironment, "moves it aside");
}

TEST_F(DatabaseTest, a_truncated_database_is_refused_with_the_mend) {
  make_database_without_checksum();
  std::filesystem::resize_file(file, 3 * 4096 + 100);
  expect_refused(ErrorKind::kEnvironment, "damaged");
}

TEST_F(DatabaseTest, overwritten_pages_are_found_before_a_run_writes) {
  make_database_without_checksum();
  const auto size = std::filesystem::file_size(file);
  std::fstream stream(file, std::ios::in | std::ios::out | std::ios::binary);
  stream.seekp(4096);
  const std::string noise(size - 4096, '\x7f');
  stream.write(noise.data(), static_cast<std::streamsize>(noise.size()));
  stream.close();
  const Error error = error_of([&] { DatabaseSink sink(file); });
  EXPECT_EQ(error.kind(), ErrorKind::kEnvironment);
  EXPECT_THAT(error.what(), HasSubstr("damaged"));
}

TEST_F(DatabaseTest, damage_carries_the_code_that_says_so) {
  write_file_atomically(file, std::string(4096, 'x'));
  const Error error = error_of([&] { DatabaseSink sink(file); });
  EXPECT_THAT(error.context(),
              ::testing::Contains(std::pair<std::string, std::string>("sqlite", "26")));
}

TEST_F(DatabaseTest, one_that_lacks_a_table_counts_as_damaged) {
  for (const char* statement : {"DROP TABLE event", "DROP VIEW coverage"}) {
    std::filesystem::remove(file);
    make_database_without_checksum();
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec(statement);
    expect_refused(ErrorKind::kEnvironment, "it lacks the");
    const Error error = error_of([&] { DatabaseSink sink(file); });
    EXPECT_THAT(error.context(),
                ::testing::Contains(std::pair<std::string, std::string>("sqlite", "11")));
  }
}

TEST_F(DatabaseTest, one_that_says_another_format_than_it_has_is_damaged) {
  make_database_without_checksum();
  for (const char* version : {"0", "1"}) {
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE)
        .exec(std::string("PRAGMA user_version = ") + version);
    const Error error = error_of([&] { DatabaseSink sink(file); });
    EXPECT_EQ(error.kind(), ErrorKind::kEnvironment);
    EXPECT_THAT(error.what(), HasSubstr("is damaged (it says it is of format"));
    EXPECT_THAT(error.context(),
                ::testing::Contains(std::pair<std::string, std::string>("sqlite", "11")));
  }
}

// Damage that no page of the file shows.
TEST_F(DatabaseTest, a_result_that_is_not_what_was_published_is_refused) {
  const auto plan = SamplePlan().trial("rtn", "W8A8").plan();
  const plan::Stage& evaluate = plan.stages.back();
  DatabaseSink sink(file);
  sink.begin(plan, {});
  record::RecordGroup group = done(evaluate, {{"top1", 75.5}});
  group.stages[0].result["digest"] = result_digest(group.stages[0].result);
  sink.commit(group);
  EXPECT_EQ(Reader(file).result(evaluate.key), group.stages[0].result);
  EXPECT_EQ(sink.history().stages.at(evaluate.key).digest, group.stages[0].result["digest"]);
  for (const char* change : {"UPDATE stage SET result = replace(result, '75.5', '85.5')",
                             "UPDATE stage SET result = replace(result, '75.5', '}')"}) {
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec(change);
    const Error error = error_of([&] { Reader(file).results(); });
    EXPECT_EQ(error.kind(), ErrorKind::kEnvironment);
    EXPECT_THAT(error.what(),
                HasSubstr("stage " + evaluate.key.substr(0, 8) + " is not what was published"));
    EXPECT_THROW(Reader(file).result(evaluate.key), Error);
    EXPECT_EQ(sink.history().stages.at(evaluate.key).digest, "") << "it comes from the store again";
    EXPECT_NO_THROW(sink.begin(plan, {})) << "a run can mend it";
    sink.commit(group);
    EXPECT_NO_THROW(Reader(file).results());
  }
  SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec("UPDATE metric SET value = 85.5");
  EXPECT_THROW(Reader(file).results(), Error) << "the figure of another result";
  sink.begin(plan, {});
  EXPECT_EQ(Reader(file).results().at(0).value, 75.5);
}

TEST_F(DatabaseTest, a_trial_that_is_not_what_its_id_says_is_refused) {
  const auto plan = SamplePlan().trial("rtn", "W8A8").plan();
  DatabaseSink sink(file);
  sink.begin(plan, {});
  for (const char* change :
       {"UPDATE trial SET bits = 'W4A8'", "UPDATE trial SET method = 'gptq'",
        "UPDATE trial SET model = 'another'", "UPDATE trial SET identity = '['",
        "UPDATE trial SET identity = replace(identity, 'W8A8', 'W4A8'), bits = 'W4A8'"}) {
    EXPECT_NO_THROW(Reader(file).results());
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec(change);
    const Error error = error_of([&] { Reader(file).results(); });
    EXPECT_EQ(error.kind(), ErrorKind::kEnvironment) << change;
    EXPECT_THAT(error.what(), HasSubstr("trial " + plan.trials[0].id.substr(0, 8) +
                                        " is not what was published"));
    EXPECT_THROW(Reader(file).trials(), Error);
    sink.begin(plan, {});
  }
}

}  // namespace
}  // namespace assay::results
