#include "results/store/migrations.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <array>

#include "harness/core/error.h"

namespace assay::results {
namespace {

constexpr std::string_view kVersion1 = R"sql(
CREATE TABLE sweep (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  started_unix_s REAL NOT NULL,
  ended_unix_s REAL,
  exit_code INTEGER,
  assay_version TEXT NOT NULL,
  git_commit TEXT NOT NULL,
  dirty INTEGER NOT NULL,
  host TEXT NOT NULL,
  command_line TEXT NOT NULL,
  text TEXT NOT NULL,
  options TEXT NOT NULL,
  left_out TEXT NOT NULL
) STRICT;
CREATE TABLE stage (
  key TEXT PRIMARY KEY,
  name TEXT NOT NULL,
  label TEXT NOT NULL,
  provider TEXT NOT NULL,
  cache TEXT NOT NULL CHECK (cache IN ('shared', 'run')),
  retention TEXT NOT NULL CHECK (retention IN ('keep', 'temporary')),
  exclusive INTEGER NOT NULL,
  recipe TEXT NOT NULL,
  inputs TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed', 'blocked')),
  kind TEXT NOT NULL DEFAULT '',
  message TEXT NOT NULL DEFAULT '',
  reused INTEGER NOT NULL DEFAULT 0,
  result TEXT NOT NULL DEFAULT '{}',
  size_bytes INTEGER,
  wall_s REAL
) STRICT, WITHOUT ROWID;
CREATE TABLE trial (
  id TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  model TEXT NOT NULL,
  family TEXT NOT NULL,
  task TEXT NOT NULL,
  method TEXT NOT NULL,
  bits TEXT NOT NULL,
  deterministic INTEGER NOT NULL,
  identity TEXT NOT NULL,
  network_stage TEXT REFERENCES stage (key),
  current INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE trial_stage (
  trial TEXT NOT NULL REFERENCES trial (id),
  stage TEXT NOT NULL REFERENCES stage (key),
  current INTEGER NOT NULL,
  PRIMARY KEY (trial, stage)
) STRICT, WITHOUT ROWID;
CREATE INDEX trial_stage_by_stage ON trial_stage (stage);
CREATE TABLE environment (
  id TEXT PRIMARY KEY,
  facts TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt (
  stage TEXT NOT NULL REFERENCES stage (key),
  number INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  message TEXT NOT NULL,
  context TEXT NOT NULL,
  quarantined INTEGER NOT NULL,
  slot TEXT NOT NULL,
  host TEXT NOT NULL,
  started_unix_s REAL NOT NULL,
  ended_unix_s REAL NOT NULL,
  cpu_s REAL,
  peak_memory_bytes INTEGER,
  exit_code INTEGER,
  signal INTEGER NOT NULL,
  log_path TEXT NOT NULL,
  environment TEXT NOT NULL REFERENCES environment (id),
  PRIMARY KEY (stage, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE protocol (
  fingerprint TEXT PRIMARY KEY,
  fields TEXT NOT NULL
) STRICT, WITHOUT ROWID;
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
  PRIMARY KEY (trial, stage, metric, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX metric_by_stage ON metric (stage);
CREATE TABLE sample_set (
  stage TEXT PRIMARY KEY REFERENCES stage (key),
  file TEXT NOT NULL,
  size_bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  unix_s REAL NOT NULL,
  kind TEXT NOT NULL,
  stage TEXT NOT NULL,
  message TEXT NOT NULL
) STRICT;

CREATE VIEW trial_state AS
SELECT t.id AS trial, count(s.key) AS stages, coalesce(sum(s.state = 'done'), 0) AS done,
  CASE WHEN coalesce(sum(s.state = 'failed'), 0) > 0 THEN 'failed'
       WHEN coalesce(sum(s.state = 'blocked'), 0) > 0 THEN 'blocked'
       WHEN coalesce(sum(s.state = 'done'), 0) = count(s.key) THEN 'done'
       ELSE 'pending' END AS state
FROM trial t
LEFT JOIN trial_stage ts ON ts.trial = t.id AND ts.current = 1
LEFT JOIN stage s ON s.key = ts.stage
WHERE t.current = 1
GROUP BY t.id;
CREATE VIEW leaderboard AS
SELECT t.id AS trial, t.label, t.model, t.family, t.task, t.method, t.bits, t.deterministic,
  t.identity, m.metric, m.data, m.split, m.settings, m.name, m.unit, m.value, m.higher_is_better,
  m.is_primary, coalesce(m.fingerprint, '') AS fingerprint, m.stage, s.state, s.kind,
  s.cache = 'run' AS timing
FROM metric m
JOIN trial t ON t.id = m.trial
JOIN stage s ON s.key = m.stage
WHERE t.current = 1 AND m.current = 1;
CREATE VIEW stage_cost AS
SELECT s.key AS stage, s.name, s.label, s.state, s.reused, coalesce(s.wall_s, 0.0) AS worth_s,
  coalesce(a.executions, 0) AS executions, coalesce(a.paid_s, 0.0) AS paid_s,
  coalesce(u.trials, 0) AS trials
FROM stage s
LEFT JOIN (SELECT stage, count(*) AS executions, sum(ended_unix_s - started_unix_s) AS paid_s
           FROM attempt GROUP BY stage) a ON a.stage = s.key
LEFT JOIN (SELECT ts.stage, count(*) AS trials FROM trial_stage ts
           JOIN trial t ON t.id = ts.trial AND t.current = 1
           WHERE ts.current = 1 GROUP BY ts.stage) u ON u.stage = s.key;
CREATE VIEW cost AS
SELECT ts.trial, c.stage, c.name, c.trials AS shared_by, c.paid_s / c.trials AS paid_s,
  c.worth_s / c.trials AS worth_s
FROM trial_stage ts
JOIN trial t ON t.id = ts.trial AND t.current = 1
JOIN stage_cost c ON c.stage = ts.stage
WHERE ts.current = 1;
CREATE VIEW coverage AS
SELECT model, method, bits, metric, data, split, name, count(*) AS planned,
  sum(value IS NOT NULL) AS measured, sum(state = 'failed') AS failed,
  sum(state = 'blocked') AS blocked
FROM leaderboard
GROUP BY model, method, bits, metric, data, split, name;
)sql";

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

constexpr std::array<std::string_view, 4> kMigrations = {kVersion1, kVersion2, kVersion3,
                                                         kVersion4};

// Making a database in memory to find them costs more than a board.
constexpr std::array<std::string_view, 17> kObjects = {
    "index metric_by_stage", "index trial_stage_by_stage",
    "table attempt",         "table environment",
    "table event",           "table metric",
    "table protocol",        "table sample_set",
    "table stage",           "table sweep",
    "table trial",           "table trial_stage",
    "view cost",             "view coverage",
    "view leaderboard",      "view stage_cost",
    "view trial_state"};

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
  if (version > static_cast<int>(kMigrations.size())) {
    throw Error(
        ErrorKind::kEnvironment,
        fmt::format("{}: results database of format {}, this program knows 1 to {}; use the "
                    "newer Assay that wrote it, or another run folder (--out)",
                    file, version, kMigrations.size()),
        {{"file", file}, {"version", std::to_string(version)}});
  }
  return version;
}

}  // namespace

std::span<const std::string_view> migrations() { return kMigrations; }

std::span<const std::string_view> schema_objects() { return kObjects; }

void migrate(SQLite::Database& database) {
  const int version = checked_version(database);
  if (version == static_cast<int>(kMigrations.size())) return;
  SQLite::Transaction transaction(database, SQLite::TransactionBehavior::IMMEDIATE);
  for (std::size_t i = static_cast<std::size_t>(version); i < kMigrations.size(); ++i) {
    try {
      database.exec(std::string(kMigrations[i]));
    } catch (const SQLite::Exception& e) {
      if (e.getErrorCode() != SQLITE_ERROR) throw;
      // Its tables are not those of the version that it says it has.
      throw SQLite::Exception(
          fmt::format("it says it is of format {}, and is not: {}", version, e.what()),
          SQLITE_CORRUPT);
    }
  }
  database.exec(fmt::format("PRAGMA application_id = {}", kApplicationId));
  database.exec(fmt::format("PRAGMA user_version = {}", kMigrations.size()));
  transaction.commit();
}

void check_version(SQLite::Database& database) {
  const int version = checked_version(database);
  if (version == static_cast<int>(kMigrations.size())) return;
  const std::string& file = database.getFilename();
  throw Error(ErrorKind::kEnvironment,
              version == 0
                  ? fmt::format("{}: holds no results yet; start the sweep with `assay run`", file)
                  : fmt::format("{}: results database of format {}; `assay run` on its sweep "
                                "brings it to format {}",
                                file, version, kMigrations.size()),
              {{"file", file}});
}

}  // namespace assay::results
