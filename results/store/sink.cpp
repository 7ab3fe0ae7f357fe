#include "results/store/sink.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "results/store/checksum.h"
#include "results/store/database.h"
#include "results/store/database_files.h"
#include "results/store/fingerprint.h"
#include "results/store/registration.h"
#include "results/store/rows.h"
#include "results/store/sqlite_error.h"
#include "results/store/stage_result.h"
#include "results/store/statement.h"

namespace assay::results {
namespace {

constexpr std::size_t kEnvironments = 64;  // compared with each attempt's

template <typename T>
std::optional<T> measured(T value) {
  return value < 0 ? std::nullopt : std::optional<T>(value);
}

record::StageState state_from(const std::string& name) {
  for (const auto state :
       {record::StageState::kDone, record::StageState::kFailed, record::StageState::kBlocked}) {
    if (name == name_of(state)) return state;
  }
  return record::StageState::kPending;
}

// Of the text of a result; "": it is damaged, or of an old version.
std::string recorded_digest(const std::string& text) {
  if (const std::string_view digest = published_digest(text); !digest.empty())
    return std::string(digest);
  const std::optional<Json> result = published_result(text);
  return result ? digest_of(*result) : "";
}

}  // namespace

class DatabaseSink::Impl {
 public:
  const std::filesystem::path path_;

  explicit Impl(const std::filesystem::path& path)
      : path_(path), database_(opened(path)), files_(path) {}

  // Runs `work` in one transaction; what it throws leaves nothing behind.
  template <typename Work>
  void transact(const Work& work) {
    files_.check();  // a log that was cut short is as long as before once this has written to it
    if (std::exchange(has_checksum_, false)) remove_checksum(path_);
    try {
      SQLite::Transaction transaction(database_, SQLite::TransactionBehavior::IMMEDIATE);
      work();
      transaction.commit();
    } catch (const SQLite::Exception& e) {
      forget_rows();
      if (is_damage(e)) files_.check_content();  // it was sound when it was opened
      throw translate(e, path_);
    } catch (...) {
      forget_rows();
      throw;
    }
    files_.check();
  }

  record::History history() {
    record::History history;
    SQLite::Statement stages(
        database_,
        "SELECT s.key, s.state, s.kind, s.message, coalesce(max(a.number), 0), "
        "coalesce(max(a.quarantined), 0), s.result FROM stage s LEFT JOIN attempt a ON a.stage = "
        "s.key "
        "GROUP BY s.key");
    while (stages.executeStep()) {
      history.stages[stages.getColumn(0).getString()] = {
          .state = state_from(stages.getColumn(1).getString()),
          .attempts = stages.getColumn(4).getInt(),
          .kind = stages.getColumn(2).getString(),
          .message = stages.getColumn(3).getString(),
          .quarantined = stages.getColumn(5).getInt() != 0,
          .digest = recorded_digest(stages.getColumn(6).getString())};
    }
    std::map<std::string, std::vector<double>> durations;
    SQLite::Statement done(database_,
                           "SELECT s.name, coalesce(s.wall_s, a.ended_unix_s - a.started_unix_s) "
                           "FROM attempt a JOIN stage s ON s.key = a.stage WHERE a.outcome = "
                           "'done'");
    while (done.executeStep()) {
      durations[done.getColumn(0).getString()].push_back(done.getColumn(1).getDouble());
    }
    for (auto& [name, values] : durations) {
      const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
      std::nth_element(values.begin(), middle, values.end());
      history.stage_wall_s[name] = *middle;
    }
    return history;
  }

  void begin(const plan::Plan& plan, const record::RunStart& start) {
    prepare();
    awaited_ = awaited_metrics(plan);
    sweep_ = register_plan(database_, plan, start);
    // Stages that earlier runs of this folder finished may serve trials that are new.
    SQLite::Statement done(database_, "SELECT result FROM stage WHERE key = ? AND state = 'done'");
    for (const auto& [key, unused] : awaited_) {
      done.reset();
      done.bind(1, key);
      if (!done.executeStep()) continue;
      // One that is damaged comes from the store, or is computed again.
      if (const auto result = published_result(done.getColumn(0).getString()))
        set_metrics(key, *result);
    }
  }

  void commit(const record::RecordGroup& group) {
    prepare();
    for (const record::StageRecord& record : group.stages) write(record);
    for (const record::AttemptRecord& record : group.attempts) write(record);
    for (const record::EventRecord& e : group.events) {
      writers_->event({.unix_s = e.unix_s, .kind = e.kind, .stage = e.key, .message = e.message});
    }
  }

  void end(double unix_s, int exit_code) {
    SQLite::Statement update(database_,
                             "UPDATE sweep SET ended_unix_s = ?, exit_code = ? WHERE id = ?");
    run(update, unix_s, exit_code, sweep_);
  }

  // A file in write-ahead mode can only be read where SQLite may write beside it: an archive, a
  // colleague's folder. Somebody who reads at this moment prevents it; then the next run's end does
  // it.
  void leave_readable() {
    writers_.reset();
    files_.forget_log();
    bool whole = false;  // no part of it is in a log
    try {
      // Once the log is in the file, the change of mode is a few bytes of its first sector, for which
      // nobody needs to wait.
      const bool in_file = database_.execAndGet("PRAGMA wal_checkpoint(TRUNCATE)").getInt() == 0;
      if (in_file) database_.exec("PRAGMA synchronous = OFF");
      whole = database_.execAndGet("PRAGMA journal_mode = DELETE").getString() == "delete";
    } catch (const SQLite::Exception&) {
      // As it was.
    }
    database_.exec("PRAGMA synchronous = FULL");
    files_.check_content();
    if (!whole) return;
    write_checksum(path_);
    has_checksum_ = true;
  }

 private:
  struct Writers {
    explicit Writers(SQLite::Database& d)
        : attempt(d, "attempt", "ON CONFLICT (stage, number) DO NOTHING"),
          samples(d, "sample_set",
                  "ON CONFLICT (stage) DO UPDATE SET file = excluded.file, size_bytes = "
                  "excluded.size_bytes"),
          event(d, "event"),
          environment(d,
                      "INSERT INTO environment (id, facts) VALUES (?, ?) ON CONFLICT DO NOTHING"),
          protocol(
              d,
              "INSERT INTO protocol (fingerprint, fields) VALUES (?, ?) ON CONFLICT DO UPDATE SET "
              "fields = excluded.fields"),
          metric(d,
                 "UPDATE metric SET value = ?, fingerprint = ? WHERE trial = ? AND stage = ? AND "
                 "metric = ? AND name = ? AND data = ? AND split = ? AND settings = ?"),
          stage(d,
                "UPDATE stage SET state = ?, kind = ?, message = ?, reused = ?, result = ?, "
                "size_bytes = ?, wall_s = ? WHERE key = ?") {}
    Insert<AttemptRow> attempt;
    Insert<SampleSetRow> samples;
    Insert<EventRow> event;
    SQLite::Statement environment;
    SQLite::Statement protocol;
    SQLite::Statement metric;
    SQLite::Statement stage;
  };

  static SQLite::Database opened(const std::filesystem::path& path) {
    if (checksum_of(path) == Checksum::kDiffers) {
      throw translate(SQLite::Exception("it was changed after its run ended", SQLITE_CORRUPT),
                      path);
    }
    remove_checksum(path);
    return open_for_writing(path);
  }

  // What was inserted may have been rolled back.
  void forget_rows() {
    environments_.clear();
    protocols_.clear();
  }

  // Statements cost more to prepare than to run.
  void prepare() {
    if (!writers_) writers_.emplace(database_);
  }

  void write(const record::AttemptRecord& record) {
    writers_->attempt({record, environment_id(record.environment)});
  }

  // The row that holds these facts. Nearly all attempts of a run share a few of them.
  std::string environment_id(const Json& facts) {
    const auto known =
        std::find_if(environments_.begin(), environments_.end(),
                     [&](const auto& environment) { return environment.second == facts; });
    if (known != environments_.end()) return known->first;
    const std::string text = facts.dump();
    const std::string id = sha256(text).substr(0, 16);
    run(writers_->environment, id, text);
    if (environments_.size() < kEnvironments) environments_.emplace_back(id, facts);
    return id;
  }

  void write(const record::StageRecord& record) {
    const int changed = run(writers_->stage, std::string(name_of(record.state)), record.kind,
                            record.message, record.reused, record.result,
                            measured(record.size_bytes), measured(record.wall_s), record.key);
    if (changed == 0) {
      throw Error(ErrorKind::kData, "stage " + record.key + " is not part of the registered plan",
                  {{"stage", record.key}});
    }
    if (record.state != record::StageState::kDone) {
      SQLite::Statement clear(database_,
                              "UPDATE metric SET value = NULL, fingerprint = NULL WHERE stage = ?");
      run(clear, record.key);
      return;
    }
    set_metrics(record.key, record.result);
    const Json files =
        record.result.is_object() ? record.result.value("files", Json::object()) : Json::object();
    if (const auto samples = files.find("samples.safetensors"); samples != files.end()) {
      writers_->samples({.stage = record.key,
                         .file = "samples.safetensors",
                         .size_bytes = samples->is_number_integer() ? samples->get<std::int64_t>()
                                                                    : std::int64_t{0}});
    }
  }

  void set_metrics(const std::string& key, const Json& result) {
    const auto awaited = awaited_.find(key);
    if (awaited == awaited_.end()) return;
    for (const Awaited& wait : awaited->second) {
      const Fingerprint fingerprint = fingerprint_of(wait.protocol, result);
      if (protocols_.insert(fingerprint.digest).second)
        run(writers_->protocol, fingerprint.digest, fingerprint.fields);
      for (const std::string& name : wait.names) {
        run(writers_->metric, figure(result, name), fingerprint.digest, wait.trial, key,
            wait.metric, name, wait.data, wait.split, wait.settings);
      }
    }
  }

  SQLite::Database database_;
  DatabaseFiles files_;
  bool has_checksum_ = false;
  std::optional<Writers> writers_;
  AwaitedMetrics awaited_;
  // Rows that are known to be there.
  std::vector<std::pair<std::string, Json>> environments_;
  std::set<std::string> protocols_;
  std::int64_t sweep_ = 0;
};

DatabaseSink::DatabaseSink(const std::filesystem::path& path)
    : impl_(std::make_unique<Impl>(path)) {}
DatabaseSink::~DatabaseSink() = default;

record::History DatabaseSink::history() {
  try {
    return impl_->history();
  } catch (const SQLite::Exception& e) {
    throw translate(e, impl_->path_);
  }
}

void DatabaseSink::begin(const plan::Plan& plan, const record::RunStart& start) {
  impl_->transact([&] { impl_->begin(plan, start); });
}

void DatabaseSink::commit(const record::RecordGroup& group) {
  if (group.empty()) return;
  impl_->transact([&] { impl_->commit(group); });
}

void DatabaseSink::end(double unix_s, int exit_code) {
  impl_->transact([&] { impl_->end(unix_s, exit_code); });
  impl_->leave_readable();
}

}  // namespace assay::results
