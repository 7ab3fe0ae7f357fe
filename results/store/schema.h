#pragma once

#include <span>
#include <string_view>

namespace assay::results {

// The format of databases that this program makes (PRAGMA user_version). Who changes the schema
// raises it, and adds to migrations.cpp how a database of the format before gets there.
inline constexpr int kFormat = 5;

// Tables, indexes and views of a new database (docs/formats/database.md).
std::string_view schema();

// "table stage", "view cost", ...: what it holds, in bytewise order.
std::span<const std::string_view> schema_objects();

}  // namespace assay::results
