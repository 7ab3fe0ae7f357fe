#include "results/store/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "results/store/checksum.h"
#include "results/store/file_system.h"
#include "results/store/migrations.h"
#include "results/store/reader.h"
#include "results/store/schema.h"
#include "tests/results/sample_run.h"

namespace assay::results {
namespace {

using testing::HasSubstr;

class DatabaseTest : public testing::Test {
 protected:
  // As a run leaves it that ends.
  void make_database() {
    DatabaseSink sink(file);
    run_all(sink, SamplePlan().trial("rtn", "W8A8").plan());
  }

  // As one leaves it that is killed: what is said of the file is found in the file.
  void make_database_without_checksum() {
    make_database();
    remove_checksum(file);
  }

  // Kind and text of what opening for reading and writing throws.
  template <typename Work>
  static Error error_of(const Work& work) {
    try {
      work();
    } catch (const Error& e) {
      return e;
    }
    ADD_FAILURE() << "nothing was thrown";
    return Error(ErrorKind::kConfig, "");
  }

  void expect_refused(ErrorKind kind, const std::string& text) {
    const Error reading = error_of([&] { Reader(file).results(); });
    EXPECT_EQ(reading.kind(), kind) << reading.what();
    EXPECT_THAT(reading.what(), HasSubstr(text));
    const Error writing = error_of([&] { DatabaseSink sink(file); });
    EXPECT_EQ(writing.kind(), kind) << writing.what();
    EXPECT_THAT(writing.what(), HasSubstr(text));
  }

  TemporaryFolder folder;
  std::filesystem::path file = folder / "results.sqlite";
};

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
              testing::Contains(std::pair<std::string, std::string>("sqlite", "26")));
}

TEST_F(DatabaseTest, one_that_lacks_a_table_counts_as_damaged) {
  for (const char* statement : {"DROP TABLE event", "DROP VIEW coverage"}) {
    std::filesystem::remove(file);
    make_database_without_checksum();
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec(statement);
    expect_refused(ErrorKind::kEnvironment, "it lacks the");
    const Error error = error_of([&] { DatabaseSink sink(file); });
    EXPECT_THAT(error.context(),
                testing::Contains(std::pair<std::string, std::string>("sqlite", "11")));
  }
}

TEST_F(DatabaseTest, a_new_one_holds_what_is_missed_in_others) {
  SQLite::Database fresh(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  migrate(fresh);
  std::vector<std::string> found;
  SQLite::Statement query(fresh,
                          "SELECT type || ' ' || name AS object FROM sqlite_master WHERE name NOT "
                          "LIKE 'sqlite_%' ORDER BY object");
  while (query.executeStep()) found.push_back(query.getColumn(0).getString());
  EXPECT_THAT(found, testing::ElementsAreArray(schema_objects()));
}

TEST_F(DatabaseTest, a_finished_one_needs_no_file_beside_it) {
  make_database_without_checksum();
  const std::string header = read_file(file).substr(18, 2);
  EXPECT_EQ(header, "\1\1") << "2: can only be read where SQLite may write";
  EXPECT_FALSE(std::filesystem::exists(file.string() + "-wal"));
}

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
                testing::Contains(std::pair<std::string, std::string>("sqlite", "5")));
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

// Swapped names and dropped rows, directions, units, times, views: whatever no digest of a row
// holds.
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

TEST_F(DatabaseTest, any_change_after_the_end_of_a_run_is_found) {
  make_database();
  const std::string whole = read_file(file);
  for (const char* change :
       {"UPDATE trial SET label = 'another'", "UPDATE trial SET deterministic = 0",
        "UPDATE metric SET higher_is_better = 0", "UPDATE metric SET unit = 'ms'",
        "UPDATE metric SET split = 'train'", "UPDATE metric SET current = 0",
        "UPDATE stage SET wall_s = 1", "DELETE FROM metric", "DELETE FROM attempt",
        "DROP VIEW cost; CREATE VIEW cost AS SELECT 1 AS trial", "PRAGMA journal_mode = WAL"}) {
    SCOPED_TRACE(change);
    SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec(change);
    expect_refused(ErrorKind::kEnvironment, "is damaged (it was changed after its run ended)");
    write_file_atomically(file, whole);
    EXPECT_EQ(Reader(file).results().size(), 2u) << "as it was";
  }
  DatabaseSink sink(file);
  EXPECT_EQ(checksum_of(file), Checksum::kNone) << "a run may write to it";
}

TEST_F(DatabaseTest, a_checksum_that_was_changed_is_one_of_another_file) {
  make_database();
  const std::string right = read_file(folder / "results.sqlite.xxh128");
  for (const std::string& text : {std::string("\n"), std::string("1f"), "x" + right}) {
    write_file_atomically(folder / "results.sqlite.xxh128", text);
    EXPECT_EQ(checksum_of(file), Checksum::kDiffers) << text;
  }
  write_file_atomically(folder / "results.sqlite.xxh128", "");
  EXPECT_EQ(checksum_of(file), Checksum::kNone) << "a machine went down";
  write_file_atomically(folder / "results.sqlite.xxh128", right);
  EXPECT_EQ(checksum_of(file), Checksum::kMatches);
}

// The digits are those of `xxhsum -H128` for this text.
TEST_F(DatabaseTest, the_checksum_is_one_that_xxhsum_reads) {
  write_file_atomically(file, "abc");
  write_checksum(file);
  EXPECT_EQ(read_file(folder / "results.sqlite.xxh128"),
            "06b05ab6733a618578af5f94892f3950  results.sqlite\n");
}

TEST_F(DatabaseTest, a_database_that_somebody_reads_at_the_end_gets_no_checksum) {
  DatabaseSink sink(file);
  sink.begin(SamplePlan().trial("rtn", "W8A8").plan(), {});
  SQLite::Database reader(file.string(), SQLite::OPEN_READONLY);
  SQLite::Statement reads(reader, "SELECT * FROM stage");
  ASSERT_TRUE(reads.executeStep());
  sink.end(2000, 0);
  EXPECT_EQ(checksum_of(file), Checksum::kNone) << "part of it is in a log";
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
                testing::Contains(std::pair<std::string, std::string>("sqlite", "11")));
  }
}

TEST_F(DatabaseTest, a_newer_format_is_refused) {
  make_database_without_checksum();
  SQLite::Database(file.string(), SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 99");
  expect_refused(ErrorKind::kEnvironment, "format 99");
}

TEST_F(DatabaseTest, a_database_of_another_program_is_refused_and_left_alone) {
  {
    SQLite::Database foreign(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    foreign.exec("CREATE TABLE bookmarks (url TEXT)");
  }
  expect_refused(ErrorKind::kEnvironment, "another program");
  SQLite::Database foreign(file.string());
  EXPECT_EQ(foreign.execAndGet("SELECT count(*) FROM sqlite_master").getInt(), 1);
}

TEST_F(DatabaseTest, a_missing_database_is_the_users_error_and_is_not_made) {
  const Error error = error_of([&] { Reader reader(file); });
  EXPECT_EQ(error.kind(), ErrorKind::kConfig);
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(DatabaseTest, an_empty_file_becomes_a_database) {
  write_file_atomically(file, "");
  make_database_without_checksum();
  EXPECT_EQ(Reader(file).trials().size(), 1u);
}

TEST_F(DatabaseTest, a_database_of_each_released_format_still_opens) {
  // The schema of format 1 as it was released.
  {
    SQLite::Database old(file.string(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    old.exec(read_file("tests/results/golden/format_1.sql"));
  }
  DatabaseSink sink(file);
  Reader reader(file);
  const auto rows = reader.results();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].trial, "1fadcf1a043bea9c");
  EXPECT_DOUBLE_EQ(rows[0].value.value(), 91.25);
}

TEST_F(DatabaseTest, an_old_one_that_was_brought_forward_has_the_schema_of_a_new_one) {
  SQLite::Database old(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  old.exec(read_file("tests/results/golden/format_1.sql"));
  SQLite::Database fresh(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  for (SQLite::Database* each : {&old, &fresh}) migrate(*each);
  const auto listed = [](SQLite::Database& database, const std::string& sql) {
    std::vector<std::string> rows;
    SQLite::Statement query(database, sql);
    while (query.executeStep()) {
      std::string& row = rows.emplace_back();
      for (int i = 0; i < query.getColumnCount(); ++i) row += query.getColumn(i).getString() + "|";
    }
    return rows;
  };
  for (const char* sql :
       {"SELECT t.name, t.strict, t.wr, c.name, c.type, c.\"notnull\", c.dflt_value, c.pk FROM "
        "pragma_table_list t, pragma_table_xinfo(t.name) c WHERE t.schema = 'main' AND t.type = "
        "'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid",
        "SELECT t.name, f.\"table\", f.\"from\", f.\"to\" FROM pragma_table_list t, "
        "pragma_foreign_key_list(t.name) f WHERE t.schema = 'main' ORDER BY 1, 2, 3, 4",
        "SELECT i.name, i.tbl_name, c.name FROM sqlite_master i, pragma_index_info(i.name) c WHERE "
        "i.type = 'index' ORDER BY i.name, c.seqno",
        "SELECT name, sql FROM sqlite_master WHERE type = 'view' ORDER BY name",
        "PRAGMA user_version", "PRAGMA application_id"}) {
    EXPECT_FALSE(listed(fresh, sql).empty()) << sql;
    EXPECT_EQ(listed(old, sql), listed(fresh, sql)) << sql;
  }
}

TEST_F(DatabaseTest, every_table_is_strict_and_foreign_keys_hold) {
  make_database_without_checksum();
  SQLite::Database database = open_for_writing(file);
  EXPECT_EQ(
      database
          .execAndGet("SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = "
                      "'table' AND strict = 0 AND name NOT LIKE 'sqlite_%'")
          .getInt(),
      0);
  EXPECT_THROW(database.exec("INSERT INTO trial_stage VALUES ('no', 'such', 1)"),
               SQLite::Exception);
  EXPECT_THROW(database.exec("UPDATE stage SET wall_s = 'long'"), SQLite::Exception);
}

TEST_F(DatabaseTest, local_disks_get_a_write_ahead_log_and_full_synchronisation) {
  SQLite::Database database = open_for_writing(file);
  const bool local = journal_for(file.parent_path()) == Journal::kWriteAhead;
  EXPECT_EQ(database.execAndGet("PRAGMA journal_mode").getString(), local ? "wal" : "delete");
  EXPECT_EQ(database.execAndGet("PRAGMA synchronous").getInt(), 2);
}

TEST(file_system, network_file_systems_are_known_by_their_magic) {
  for (const long magic : {0x6969L, 0x0BD00BD0L, 0x47504653L, 0x19830326L, 0x65735546L}) {
    EXPECT_TRUE(is_network_magic(magic)) << magic;
  }
  for (const long magic : {0xEF53L, 0x58465342L, 0x01021994L}) {  // ext4, XFS, tmpfs
    EXPECT_FALSE(is_network_magic(magic)) << magic;
  }
}

TEST_F(DatabaseTest, a_query_reads_and_nothing_else) {
  make_database_without_checksum();
  Reader reader(file);
  EXPECT_EQ(reader.query("SELECT 1 AS one, NULL, 'x', 1.5; -- end").rows.at(0),
            (std::vector<Json>{1, nullptr, "x", 1.5}));
  EXPECT_EQ(reader.query("SELECT 1 AS one").columns.at(0), "one");
  for (const char* sql :
       {"DELETE FROM trial", "DROP TABLE metric", "INSERT INTO event VALUES (1, 1, '', '', '')",
        "PRAGMA user_version = 5", "PRAGMA query_only = OFF", "SELECT 1; DELETE FROM trial",
        "ATTACH '/tmp/other.sqlite' AS other", "SELEC 1", "SELECT * FROM nothing", "", "-- only"}) {
    const Error error = error_of([&] { reader.query(sql); });
    EXPECT_EQ(error.kind(), ErrorKind::kConfig) << sql;
  }
  EXPECT_EQ(reader.trials().size(), 1u);
}

TEST_F(DatabaseTest, a_query_of_too_many_rows_is_refused) {
  make_database_without_checksum();
  const Error error = error_of([&] {
    Reader(file).query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n", 100);
  });
  EXPECT_THAT(error.what(), HasSubstr("LIMIT"));
}

}  // namespace
}  // namespace assay::results
