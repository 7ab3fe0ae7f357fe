#include "results/store/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "results/store/file_system.h"
#include "results/store/migrations.h"
#include "results/store/reader.h"
#include "results/store/schema.h"
#include "tests/results/database_fixture.h"

namespace assay::results {
namespace {

using ::testing::HasSubstr;

TEST_F(DatabaseTest, a_new_one_holds_what_is_missed_in_others) {
  SQLite::Database fresh(":memory:", SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
  migrate(fresh);
  std::vector<std::string> found;
  SQLite::Statement query(fresh,
                          "SELECT type || ' ' || name AS object FROM sqlite_master WHERE name NOT "
                          "LIKE 'sqlite_%' ORDER BY object");
  while (query.executeStep()) found.push_back(query.getColumn(0).getString());
  EXPECT_THAT(found, ::testing::ElementsAreArray(schema_objects()));
}

TEST_F(DatabaseTest, a_finished_one_needs_no_file_beside_it) {
  make_database_without_checksum();
  const std::string header = read_file(file).substr(18, 2);
  EXPECT_EQ(header, "\1\1") << "2: can only be read where SQLite may write";
  EXPECT_FALSE(std::filesystem::exists(file.string() + "-wal"));
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
