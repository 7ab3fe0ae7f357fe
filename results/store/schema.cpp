#include "results/store/schema.h"

#include <array>

namespace assay::results {
namespace {

constexpr std::string_view kSchema = R"sql(
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
  current INTEGER NOT NULL,
  chosen TEXT NOT NULL DEFAULT '{}'
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
  samples TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (trial, stage, metric, name, data, split, settings)
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
  s.cache = 'run' AS timing,
  t.network_stage, m.samples
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

// Making a database in memory to find them costs more than a board.
constexpr std::array<std::string_view, 17> kObjects = {"index metric_by_stage",
                                                       "index trial_stage_by_stage",
                                                       "table attempt",
                                                       "table environment",
                                                       "table event",
                                                       "table metric",
                                                       "table protocol",
                                                       "table sample_set",
                                                       "table stage",
                                                       "table sweep",
                                                       "table trial",
                                                       "table trial_stage",
                                                       "view cost",
                                                       "view coverage",
                                                       "view leaderboard",
                                                       "view stage_cost",
                                                       "view trial_state"};

}  // namespace

std::string_view schema() { return kSchema; }

std::span<const std::string_view> schema_objects() { return kObjects; }

}  // namespace assay::results
