#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "harness/base/error.h"
#include "results/store/reader.h"
#include "tests/results/database_fixture.h"

// What happens to a database while a run writes to it: others that use it, lost files, a kill.

namespace assay::results {
namespace {

using ::testing::HasSubstr;

TEST_F(DatabaseTest, one_that_is_held_says_so_and_loses_nothing) {
  DatabaseSink sink(file);
  const auto plan = SamplePlan().trial("rtn", "W8A8").plan();
  sink.begin(plan, {});
  const record::RecordGroup group{{}, {}, {{1, "stopped", "", "because"}}};
  {
    SQLite::Database other(file.string(), SQLite::OPEN_READWRITE);
    other.exec("BEGIN EXCLUSIVE");
    const Error error = error_of([&] { sink.commit(group); });
    EXPECT_EQ(error.kind(), ErrorKind::kEnvironment);
    EXPECT_THAT(error.context(),
                ::testing::Contains(std::pair<std::string, std::string>("sqlite", "5")));
  }
  sink.commit(group);
  EXPECT_EQ(SQLite::Database(file.string()).execAndGet("SELECT count(*) FROM event").getInt(), 1);
}

TEST_F(DatabaseTest, one_whose_files_go_while_a_run_writes_to_it_says_so) {
  const auto plan = SamplePlan().trial("rtn", "W8A8").plan();
  const record::RecordGroup group{{}, {}, {{1, "stopped", "", "because"}}};
  const std::filesystem::path log = file.string() + "-wal", copy = folder / "copy";
  const std::vector<std::pair<std::function<void()>, std::string>> ways = {
      {[&] { std::filesystem::remove(file); }, "it was removed while this run wrote to it"},
      {[&] {
         std::filesystem::copy_file(file, copy);
         std::filesystem::rename(copy, file);
       },
       "it was replaced while this run wrote to it"},
      {[&] { std::filesystem::resize_file(log, 0); }, "while this run wrote to it"}};
  for (const auto& [lose, text] : ways) {
    for (const auto& each : {file, log}) std::filesystem::remove(each);
    DatabaseSink sink(file);
    sink.begin(plan, {});
    lose();
    const Error error = error_of([&] { sink.commit(group); });
    EXPECT_EQ(error.kind(), ErrorKind::kEnvironment) << text;
    EXPECT_THAT(error.what(), HasSubstr(text));
    EXPECT_THAT(error.what(), HasSubstr("run the same command again"));
  }
}

TEST_F(DatabaseTest, one_whose_log_is_emptied_between_two_looks_says_so_at_the_end) {
  const std::filesystem::path log = file.string() + "-wal";
  DatabaseSink sink(file);
  sink.begin(SamplePlan().trial("rtn", "W8A8").plan(), {});
  const auto size = std::filesystem::file_size(log);
  std::filesystem::resize_file(log, 0);
  std::filesystem::resize_file(log, size);  // as after a write
  const Error error = error_of([&] { sink.end(2, 0); });
  EXPECT_EQ(error.kind(), ErrorKind::kEnvironment);
  EXPECT_THAT(error.what(), HasSubstr("was damaged"));
  EXPECT_THAT(error.what(), HasSubstr("run the same command again"));
}

TEST_F(DatabaseTest, a_checkpoint_by_somebody_else_is_in_order) {
  DatabaseSink sink(file);
  const record::RecordGroup group{{}, {}, {{1, "stopped", "", "because"}}};
  sink.begin(SamplePlan().trial("rtn", "W8A8").plan(), {});
  SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec("PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_EQ(std::filesystem::file_size(file.string() + "-wal"), 0u);
  sink.commit(group);
  sink.end(2, 0);
  sink.commit(group);
}

// What a process leaves that is killed while it writes.
TEST_F(DatabaseTest, half_a_change_is_undone_before_the_file_is_read) {
  make_database_without_checksum();
  const std::filesystem::path killed = folder / "killed.sqlite";
  {
    SQLite::Database database(file.string(), SQLite::OPEN_READWRITE);
    database.exec("PRAGMA cache_size = 1");  // so that half of it is in the file
    database.exec("BEGIN IMMEDIATE; UPDATE stage SET label = label || zeroblob(100000)");
    std::filesystem::copy_file(file, killed);
    std::filesystem::copy_file(file.string() + "-journal", killed.string() + "-journal");
  }
  const auto labels = [](const std::filesystem::path& path) {
    return Reader(path).query("SELECT group_concat(label) FROM stage", 10).rows;
  };
  EXPECT_EQ(labels(killed), labels(file));
}

}  // namespace
}  // namespace assay::results
