#include <SQLiteCpp/SQLiteCpp.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "results/store/checksum.h"
#include "results/store/reader.h"
#include "tests/results/database_fixture.h"

// The checksum that a run leaves beside its database at its end.

namespace assay::results {
namespace {

// Swapped names and dropped rows, directions, units, times, views: whatever no digest of a row
// holds.
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

}  // namespace
}  // namespace assay::results
