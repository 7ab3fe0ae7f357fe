#include "harness/spec/place.h"

#include <fmt/format.h>

namespace assay::spec {

std::string Place::text() const {
  const std::string name = file ? *file : "sweep";
  return line > 0 ? fmt::format("{}:{}:{}", name, line, column) : name;
}

void refuse(const Place& place, const std::string& problem, const std::string& value) {
  throw Error(ErrorKind::kConfig, fmt::format("{}: {}", place.text(), problem),
              {{"file", place.file ? *place.file : ""},
               {"line", std::to_string(place.line)},
               {"column", std::to_string(place.column)},
               {"value", value}});
}

}  // namespace assay::spec
