#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json.h"

// Field lists to SQL and back. Included by source files of this folder only.

namespace assay::results {

inline void bind_value(SQLite::Statement& s, int i, bool v) { s.bind(i, v ? 1 : 0); }
inline void bind_value(SQLite::Statement& s, int i, int v) { s.bind(i, v); }
inline void bind_value(SQLite::Statement& s, int i, std::int64_t v) { s.bind(i, v); }
inline void bind_value(SQLite::Statement& s, int i, double v) { s.bind(i, v); }
inline void bind_value(SQLite::Statement& s, int i, const std::string& v) { s.bind(i, v); }
inline void bind_value(SQLite::Statement& s, int i, const Json& v) {
  s.bind(i, v.dump(-1, ' ', false, Json::error_handler_t::replace));
}
template <typename T>
void bind_value(SQLite::Statement& s, int i, const std::optional<T>& v) {
  if (v) {
    bind_value(s, i, *v);
  } else {
    s.bind(i);
  }
}

// Runs a statement once with these values.
template <typename... Values>
int run(SQLite::Statement& statement, const Values&... values) {
  statement.reset();
  statement.clearBindings();
  int index = 0;
  (bind_value(statement, ++index, values), ...);
  const int changed = statement.exec();
  statement.reset();
  return changed;
}

// INSERT of one kind of row, prepared once. `conflict`: "", or an ON CONFLICT clause.
template <typename Row>
class Insert {
 public:
  Insert(SQLite::Database& database, const std::string& table, const std::string& conflict = "")
      : statement_(database, text(table, conflict)) {}

  void operator()(const Row& row) {
    statement_.reset();
    int index = 0;
    Row::fields(row,
                [&](const char*, const auto& value) { bind_value(statement_, ++index, value); });
    statement_.exec();
    statement_.reset();
  }

 private:
  static std::string text(const std::string& table, const std::string& conflict) {
    std::string columns, marks;
    const Row row;
    Row::fields(row, [&](const char* name, const auto&) {
      columns += (columns.empty() ? "" : ", ") + std::string(name);
      marks += marks.empty() ? "?" : ", ?";
    });
    return "INSERT INTO " + table + " (" + columns + ") VALUES (" + marks + ") " + conflict;
  }

  SQLite::Statement statement_;
};

inline void read_value(const SQLite::Column& c, bool& v) { v = c.getInt() != 0; }
inline void read_value(const SQLite::Column& c, int& v) { v = c.getInt(); }
inline void read_value(const SQLite::Column& c, std::int64_t& v) { v = c.getInt64(); }
inline void read_value(const SQLite::Column& c, double& v) { v = c.getDouble(); }
inline void read_value(const SQLite::Column& c, std::string& v) { v = c.getString(); }
inline void read_value(const SQLite::Column& c, Json& v) {
  v = parse_json(c.getString(), std::string("column ") + c.getName());
}
template <typename T>
void read_value(const SQLite::Column& c, std::optional<T>& v) {
  if (c.isNull()) {
    v.reset();
  } else {
    read_value(c, v.emplace());
  }
}

// All rows of `SELECT <fields of Row> FROM <tail>`.
template <typename Row, typename... Values>
std::vector<Row> select(SQLite::Database& database, const std::string& tail,
                        const Values&... values) {
  std::string columns;
  const Row sample;
  Row::fields(sample, [&](const char* name, const auto&) {
    columns += (columns.empty() ? "" : ", ") + std::string(name);
  });
  SQLite::Statement statement(database, "SELECT " + columns + " FROM " + tail);
  int position = 0;
  (bind_value(statement, ++position, values), ...);
  std::vector<Row> rows;
  while (statement.executeStep()) {
    int index = 0;
    try {
      Row::fields(rows.emplace_back(), [&](const char*, auto& value) {
        read_value(statement.getColumn(index++), value);
      });
    } catch (const Error& e) {
      throw Error(e.kind(),
                  fmt::format("{}: row {} of {}: {}; name another folder (--out) and run the sweep "
                              "again: results come back from the store",
                              database.getFilename(), rows.size(), tail, e.what()),
                  {{"file", database.getFilename()}});
    }
  }
  return rows;
}

}  // namespace assay::results
