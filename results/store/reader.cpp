#include "results/store/reader.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/contract/artifact_files.h"
#include "results/store/checksum.h"
#include "results/store/database.h"
#include "results/store/sqlite_error.h"
#include "results/store/stage_result.h"
#include "results/store/statement.h"

namespace assay::results {
namespace {

Json json_of(const SQLite::Column& column) {
  if (column.isNull()) return nullptr;
  if (column.isInteger()) return column.getInt64();
  if (column.isFloat()) return column.getDouble();
  if (column.isText()) return column.getString();
  std::string hex = "x'";
  for (const char byte : column.getString()) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return hex + "'";
}

[[noreturn]] void refuse_query(const std::string& sql, const std::string& reason) {
  throw Error(ErrorKind::kConfig, fmt::format("query: {}; in: {}", reason, sql), {{"sql", sql}});
}

// What follows the first statement must be white space or comments.
void check_single(SQLite::Database& database, const std::string& sql) {
  sqlite3_stmt* first = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v2(database.getHandle(), sql.c_str(),
                                      static_cast<int>(sql.size() + 1), &first, &rest);
  const bool empty = first == nullptr;
  const bool reads = empty || sqlite3_stmt_readonly(first) != 0;
  const int columns = empty ? 0 : sqlite3_column_count(first);
  sqlite3_finalize(first);
  if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
    throw SQLite::Exception(database.getHandle());
  if (code != SQLITE_OK) refuse_query(sql, database.getErrorMsg());
  if (empty) refuse_query(sql, "there is no statement");
  if (!reads) refuse_query(sql, "only statements that read are allowed");
  if (columns == 0) refuse_query(sql, "the statement gives no rows; write a SELECT");
  sqlite3_stmt* second = nullptr;
  const int next = sqlite3_prepare_v2(database.getHandle(), rest, -1, &second, nullptr);
  const bool more = second != nullptr || next != SQLITE_OK;
  sqlite3_finalize(second);
  if (more) refuse_query(sql, "one statement at a time");
}

}  // namespace

class Reader::Impl {
 public:
  explicit Impl(const std::filesystem::path& p) : path(p), database(open_read_only(p)) {
    const Checksum checksum = checksum_of(path);
    if (checksum == Checksum::kDiffers) {
      throw translate(SQLite::Exception("it was changed after its run ended", SQLITE_CORRUPT),
                      path);
    }
    unchanged_ = checksum == Checksum::kMatches;
  }

  // Does `work`, once more after a journal was rolled back; throws what an error means to a user.
  template <typename Work>
  auto attempt(const Work& work) {
    try {
      try {
        return work();
      } catch (const SQLite::Exception& e) {
        if (!is_unfinished(e)) throw;
        roll_back_journal(path);
        return work();
      }
    } catch (const SQLite::Exception& e) {
      throw translate(e, path);
    }
  }

  template <typename Row, typename... Values>
  std::vector<Row> rows(const std::string& tail, const Values&... values) {
    return attempt([&] { return select<Row>(database, tail, values...); });
  }

  // The result of a stage, from the text that the database holds of it.
  Json result_from(const std::string& stage, const std::string& text) const {
    if (std::optional<Json> result = published_result(text)) return *std::move(result);
    damaged(stage);
  }

  // Figures are shown only if the results that they come from are what was published, and say so.
  // Looked at once.
  void check_figures() {
    if (unchanged_ || figures_checked_) return;
    attempt([this] {
      SQLite::Statement rows(
          database,
          "SELECT s.key, s.result, m.name, m.value, EXISTS (SELECT 1 FROM trial_stage o WHERE "
          "o.trial = m.trial AND o.stage = s.key) FROM stage s LEFT JOIN metric "
          "m ON m.stage = s.key AND m.current = 1 WHERE s.state = 'done' AND "
          "s.key IN (SELECT stage FROM trial_stage WHERE current = 1) ORDER BY "
          "s.key");
      std::string key, text;
      std::optional<Json> result;  // parsed once a figure is not found in its text
      while (rows.executeStep()) {
        if (std::string next = rows.getColumn(0).getString(); next != key) {
          key = std::move(next);
          result.reset();
          text = rows.getColumn(1).getString();
          if (published_digest(text).empty()) result = result_from(key, text);
        }
        if (rows.getColumn(2).isNull()) continue;
        if (rows.getColumn(4).getInt() == 0) damaged(key);  // the figure of another trial
        const std::string name = rows.getColumn(2).getString();
        std::optional<double> value;
        read_value(rows.getColumn(3), value);
        if (!result && value && says(text, name, *value)) continue;
        if (!result) result = parse_json(text, "result of a stage");
        if (digest_of(*result).empty()) continue;
        if (value != figure(*result, name)) damaged(key);
      }
      figures_checked_ = true;
    });
  }

  // A trial is what its id was made from, whatever the columns beside it say. Looked at once.
  void check_trials() {
    if (unchanged_ || trials_checked_) return;
    attempt([this] {
      SQLite::Statement trials(
          database, "SELECT id, identity, model, method, bits FROM trial WHERE current = 1");
      while (trials.executeStep()) {
        const std::string id = trials.getColumn(0).getString();
        const auto is = [&](int column, const std::string& value) {
          return trials.getColumn(column).getString() == value;
        };
        const Json identity = identity_from(trials.getColumn(1).getString());
        if (sha256(canonical_json(identity)).substr(0, id.size()) != id ||
            !is(2, text_of(identity, "model")) || !is(3, methods_of(identity)) ||
            !is(4, text_of(identity, "bits"))) {
          changed("trial " + id.substr(0, 8));
        }
      }
      trials_checked_ = true;
    });
  }

  std::filesystem::path path;
  SQLite::Database database;

 private:
  bool unchanged_ = false;  // since the run left it: rows need no checks of their own
  bool trials_checked_ = false;
  bool figures_checked_ = false;

  // Whether the text of a result gives the figure as it writes numbers: that spares its parsing.
  static bool says(const std::string& text, const std::string& name, double value) {
    const std::string member = Json(name).dump() + ":";
    const std::size_t at = text.find(member);
    if (at == std::string::npos) return false;
    const std::string_view rest = std::string_view(text).substr(at + member.size());
    std::string number = Json(value).dump();
    if (number.ends_with(".0") && !rest.starts_with(number)) number.resize(number.size() - 2);
    if (!rest.starts_with(number) || rest.size() == number.size()) return false;
    return rest[number.size()] == ',' || rest[number.size()] == '}';
  }

  // Null: it is no text that this program wrote.
  static Json identity_from(const std::string& text) {
    Json identity = Json::parse(text, nullptr, false);
    return identity.is_object() ? identity : Json();
  }

  static std::string text_of(const Json& identity, const char* member) {
    const auto found = identity.find(member);  // end() of what is no object
    return found == identity.end() || !found->is_string() ? "" : found->get<std::string>();
  }

  static std::string methods_of(const Json& identity) {
    std::string text;
    const auto steps = identity.find("method");
    if (steps == identity.end() || !steps->is_array()) return text;
    for (const Json& step : *steps) text += (text.empty() ? "" : " + ") + text_of(step, "name");
    return text;
  }

  [[noreturn]] void damaged(const std::string& stage) const {
    changed("stage " + stage.substr(0, 8));
  }

  [[noreturn]] void changed(const std::string& what) const {
    throw Error(ErrorKind::kEnvironment,
                fmt::format("{}: what it holds of {} is not what was published; the next "
                            "`assay run` of the sweep writes it again",
                            path.string(), what),
                {{"file", path.string()}});
  }
};

Reader::Reader(const std::filesystem::path& path) : impl_(std::make_unique<Impl>(path)) {}
Reader::~Reader() = default;
Reader::Reader(Reader&&) noexcept = default;

const std::filesystem::path& Reader::path() const { return impl_->path; }

std::vector<ResultRow> Reader::results() {
  impl_->check_trials();
  impl_->check_figures();
  return impl_->rows<ResultRow>(
      // A network before the last one that was made for given bits and does not say what it
      // quantizes leaves the whole unstated.
      "(SELECT l.*, CASE WHEN EXISTS (SELECT 1 FROM json_each(n.inputs) i JOIN stage b"
      " ON b.key = i.value WHERE i.key LIKE 'network%'"
      " AND (json_type(b.recipe, '$.parameters.w_bits') IS NOT NULL"
      " OR json_type(b.recipe, '$.parameters.a_bits') IS NOT NULL"
      " OR json_type(b.recipe, '$.parameters.kv_bits') IS NOT NULL)"
      " AND json_extract(b.result, '$.quantization') IS NULL) THEN 'null'"
      " ELSE json_quote(json_extract(n.result, '$.quantization')) END AS quantization"
      " FROM leaderboard l LEFT JOIN stage n ON n.key = l.network_stage AND n.state = 'done')"
      " ORDER BY trial, metric, data, split, settings, name, stage");
}

std::vector<CostRow> Reader::cost() { return impl_->rows<CostRow>("cost ORDER BY trial, stage"); }

std::vector<StageCostRow> Reader::stage_costs() {
  return impl_->rows<StageCostRow>("stage_cost ORDER BY stage");
}

std::vector<TrialSummary> Reader::trials() {
  impl_->check_trials();
  return impl_->rows<TrialSummary>("trial JOIN trial_state ON trial = id ORDER BY id");
}

std::vector<NoteRow> Reader::notes() {
  impl_->check_figures();
  std::map<std::string, std::set<std::string>> trials;  // by note: a line of a stage's
  impl_->attempt([&] {
    // CROSS JOIN: few stages have a note, so that they are looked for first.
    SQLite::Statement rows(
        impl_->database,
        "SELECT json_extract(s.result, '$.note'), t.id FROM stage s CROSS JOIN trial_stage ts ON "
        "ts.stage = s.key AND ts.current = 1 JOIN trial t ON t.id = ts.trial AND t.current = 1 "
        "WHERE s.state = 'done' AND instr(s.result, '\"note\":')");
    while (rows.executeStep()) {
      std::istringstream lines(rows.getColumn(0).getString());
      for (std::string line; std::getline(lines, line);)
        if (!line.empty()) trials[line].insert(rows.getColumn(1).getString());
    }
  });
  std::vector<NoteRow> notes;
  for (const auto& [note, of] : trials) notes.push_back({.note = note, .trials = of.size()});
  std::stable_sort(notes.begin(), notes.end(),
                   [](const NoteRow& a, const NoteRow& b) { return a.trials > b.trials; });
  return notes;
}

std::vector<TrialStageSummary> Reader::stages_of(const std::string& trial) {
  return impl_->rows<TrialStageSummary>(
      "(SELECT s.*, CASE WHEN s.state = 'done' THEN coalesce(json_extract(s.result, '$.note'), '') "
      "ELSE '' END AS note, coalesce((SELECT a.log_path FROM attempt a WHERE a.stage = s.key ORDER "
      "BY "
      "a.number DESC LIMIT 1), '') AS log_path, (SELECT count(*) FROM attempt a WHERE a.stage = "
      "s.key) AS attempts, CASE WHEN s.state = 'done' THEN coalesce(json_extract(s.result, "
      "'$.series'), '{}') ELSE '{}' END AS series FROM stage s JOIN trial_stage ts ON ts.stage = "
      "s.key AND ts.current = 1 "
      "WHERE ts.trial = ?) ORDER BY name, key",
      trial);
}

std::optional<SweepRow> Reader::last_start() {
  auto rows = impl_->rows<SweepRow>("sweep ORDER BY id DESC LIMIT 1");
  if (rows.empty()) return std::nullopt;
  return std::move(rows.front());
}

Json Reader::result(const std::string& stage) {
  return impl_->attempt([&]() -> Json {
    SQLite::Statement statement(impl_->database,
                                "SELECT result FROM stage WHERE key = ? AND state = 'done'");
    statement.bind(1, stage);
    if (!statement.executeStep()) return nullptr;
    return impl_->result_from(stage, statement.getColumn(0).getString());
  });
}

Json Reader::protocol(const std::string& fingerprint) {
  return impl_->attempt([&]() -> Json {
    SQLite::Statement statement(impl_->database,
                                "SELECT fields FROM protocol WHERE fingerprint = ?");
    statement.bind(1, fingerprint);
    if (!statement.executeStep()) return nullptr;
    return parse_json(statement.getColumn(0).getString(), "protocol " + fingerprint);
  });
}

QueryResult Reader::query(const std::string& sql, std::size_t max_rows) {
  try {
    check_single(impl_->database, sql);
    SQLite::Statement statement(impl_->database, sql);
    QueryResult result;
    for (int i = 0; i < statement.getColumnCount(); ++i) {
      result.columns.emplace_back(statement.getColumnName(i));
    }
    while (statement.executeStep()) {
      if (result.rows.size() == max_rows) {
        refuse_query(sql, fmt::format("more than {} rows; add a LIMIT", max_rows));
      }
      std::vector<Json>& row = result.rows.emplace_back();
      for (int i = 0; i < statement.getColumnCount(); ++i) {
        row.push_back(json_of(statement.getColumn(i)));
      }
    }
    return result;
  } catch (const SQLite::Exception& e) {
    const int code = e.getErrorCode();
    if (code == SQLITE_ERROR || code == SQLITE_AUTH || code == SQLITE_READONLY)
      refuse_query(sql, e.what());
    throw translate(e, impl_->path);
  }
}

}  // namespace assay::results
