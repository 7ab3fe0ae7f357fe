#include "results/store/migrations.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <array>

#include "harness/base/error.h"
#include "results/store/schema.h"

namespace assay::results {
namespace {

// Which of a trial's parameters are off their defaults. Until the next `assay run` fills it in, a
// trial of an older database shows none.
constexpr std::string_view kVersion2 = R"sql(
ALTER TABLE trial ADD COLUMN chosen TEXT NOT NULL DEFAULT '{}';
)sql";

// Figures name the stage whose result says what is quantized in their network. (The view does not
// read it there: SQLite refuses JSON functions in views of a schema that is not trusted.)
constexpr std::string_view kVersion3 = R"sql(
DROP VIEW leaderboard;
CREATE VIEW leaderboard AS
SELECT t.id AS trial, t.label, t.model, t.family, t.task, t.method, t.bits, t.deterministic,
  t.identity, m.metric, m.data, m.split, m.settings, m.name, m.unit, m.value, m.higher_is_better,
  m.is_primary, coalesce(m.fingerprint, '') AS fingerprint, m.stage, s.state, s.kind,
  s.cache = 'run' AS timing,
  t.network_stage
FROM metric m
JOIN trial t ON t.id = m.trial
JOIN stage s ON s.key = m.stage
WHERE t.current = 1 AND m.current = 1;
)sql";

// Two data sets, or two splits, may hold the same files: then one stage gives both their figures.
constexpr std::string_view kVersion4 = R"sql(
DROP VIEW coverage;
DROP VIEW leaderboard;
ALTER TABLE metric RENAME TO metric_3;
CREATE TABLE metric (
  trial TEXT NOT NULL REFERENCES trial (id),
  stage TEXT NOT NULL REFERENCES stage (key),
  metric TEXT NOT NULL,
  name TEXT NOT NULL,
  data TEXT NOT NULL,
  split TEXT NOT NULL,
  settings TEXT NOT NULL,
  unit TEXT NOT NULL,
  higher_is_better INTEGER NOT NULL,
  is_primary INTEGER NOT NULL,
  value REAL,
  fingerprint TEXT REFERENCES protocol (fingerprint),
  current INTEGER NOT NULL,
  PRIMARY KEY (trial, stage, metric, name, data, split, settings)
) STRICT, WITHOUT ROWID;
INSERT INTO metric SELECT * FROM metric_3;
DROP TABLE metric_3;
CREATE INDEX metric_by_stage ON metric (stage);
CREATE VIEW leaderboard AS
SELECT t.id AS trial, t.label, t.model, t.family, t.task, t.method, t.bits, t.deterministic,
  t.identity, m.metric, m.data, m.split, m.settings, m.name, m.unit, m.value, m.higher_is_better,
  m.is_primary, coalesce(m.fingerprint, '') AS fingerprint, m.stage, s.state, s.kind,
  s.cache = 'run' AS timing,
  t.network_stage
FROM metric m
JOIN trial t ON t.id = m.trial
JOIN stage s ON s.key = m.stage
WHERE t.current = 1 AND m.current = 1;
CREATE VIEW coverage AS
SELECT model, method, bits, metric, data, split, name, count(*) AS planned,
  sum(value IS NOT NULL) AS measured, sum(state = 'failed') AS failed,
  sum(state = 'blocked') AS blocked
FROM leaderboard
GROUP BY model, method, bits, metric, data, split, name;
)sql";

// Figures say from which per-sample values they follow, so that `compare` knows it of any metric.
// Those of the built-in metrics are known; those of a provider come with the next `assay run`.
constexpr std::string_view kVersion5 = R"sql(
DROP VIEW coverage;
DROP VIEW leaderboard;
ALTER TABLE metric ADD COLUMN samples TEXT NOT NULL DEFAULT '';
UPDATE metric SET samples = CASE name
    WHEN 'top1' THEN '{"statistic":"share","tensor":"correct","weights":""}'
    WHEN 'top5' THEN '{"statistic":"share","tensor":"top5","weights":""}'
    WHEN 'cross_entropy' THEN '{"statistic":"mean","tensor":"nll","weights":""}' ELSE '' END
  WHERE stage IN (SELECT key FROM stage WHERE name = 'merge.classification');
UPDATE metric SET samples = CASE name
    WHEN 'perplexity' THEN '{"statistic":"exp_mean","tensor":"window_nll","weights":"window_tokens"}'
    WHEN 'nll' THEN '{"statistic":"mean","tensor":"window_nll","weights":"window_tokens"}' ELSE '' END
  WHERE stage IN (SELECT key FROM stage WHERE name = 'merge.language');
CREATE VIEW leaderboard AS
SELECT t.id AS trial, t.label, t.model, t.family, t.task, t.method, t.bits, t.deterministic,
  t.identity, m.metric, m.data, m.split, m.settings, m.name, m.unit, m.value, m.higher_is_better,
  m.is_primary, coalesce(m.fingerprint, '') AS fingerprint, m.stage, s.state, s.kind,
  s.cache = 'run' AS timing,
  t.network_stage, m.samples
FROM metric m
JOIN trial t ON t.id = m.trial
JOIN stage s ON s.key = m.stage
WHERE t.current = 1 AND m.current = 1;
CREATE VIEW coverage AS
SELECT model, method, bits, metric, data, split, name, count(*) AS planned,
  sum(value IS NOT NULL) AS measured, sum(state = 'failed') AS failed,
  sum(state = 'blocked') AS blocked
FROM leaderboard
GROUP BY model, method, bits, metric, data, split, name;
)sql";

// Step i brings format i + 1 to i + 2. One that was released is never changed.
constexpr std::array<std::string_view, kFormat - 1> kSteps = {kVersion2, kVersion3, kVersion4,
                                                              kVersion5};

int pragma(SQLite::Database& database, const char* text) {
  return database.execAndGet(text).getInt();
}

// The version of a database of ours, 0 for an empty file.
int checked_version(SQLite::Database& database) {
  const int version = pragma(database, "PRAGMA user_version");
  const int application = pragma(database, "PRAGMA application_id");
  const int objects = pragma(database, "SELECT count(*) FROM sqlite_master");
  if (application == 0 && version == 0 && objects == 0) return 0;
  const std::string& file = database.getFilename();
  if (application != kApplicationId) {
    throw Error(
        ErrorKind::kEnvironment,
        fmt::format("{}: an SQLite database of another program (application_id {}, not {}); "
                    "name another run folder with --out",
                    file, application, kApplicationId),
        {{"file", file}});
  }
  if (version < 1) {
    throw SQLite::Exception(fmt::format("it says it is of format {}, and there is none", version),
                            SQLITE_CORRUPT);
  }
  if (version > kFormat) {
    throw Error(
        ErrorKind::kEnvironment,
        fmt::format("{}: results database of format {}, this program knows 1 to {}; use the "
                    "newer Assay that wrote it, or another run folder (--out)",
                    file, version, kFormat),
        {{"file", file}, {"version", std::to_string(version)}});
  }
  return version;
}

}  // namespace

void migrate(SQLite::Database& database) {
  const int version = checked_version(database);
  if (version == kFormat) return;
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  if (version == 0) database.exec(std::string(schema()));
  for (int from = version == 0 ? kFormat : version; from < kFormat; ++from) {
    try {
      database.exec(std::string(kSteps[static_cast<std::size_t>(from - 1)]));
    } catch (const SQLite::Exception& e) {
      if (e.getErrorCode() != SQLITE_ERROR) throw;
      // Its tables are not those of the version that it says it has.
      throw SQLite::Exception(
          fmt::format("it says it is of format {}, and is not: {}", version, e.what()),
          SQLITE_CORRUPT);
    }
  }
  database.exec(fmt::format("PRAGMA application_id = {}", kApplicationId));
  database.exec(fmt::format("PRAGMA user_version = {}", kFormat));
  transaction.commit();
}

void check_version(SQLite::Database& database) {
  const int version = checked_version(database);
  if (version == kFormat) return;
  const std::string& file = database.getFilename();
  throw Error(ErrorKind::kEnvironment,
              version == 0
                  ? fmt::format("{}: holds no results yet; start the sweep with `assay run`", file)
                  : fmt::format("{}: results database of format {}; `assay run` on its sweep "
                                "brings it to format {}",
                                file, version, kFormat),
              {{"file", file}});
}

}  // namespace assay::results
