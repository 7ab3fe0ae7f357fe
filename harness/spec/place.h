#pragma once

#include <memory>
#include <string>

#include "harness/base/error.h"

namespace assay::spec {

// Where a value of a sweep stands. Line and column count from 1; line 0: the value has no line (it
// came from `--set`), and `file` says where it came from.
struct Place {
  std::shared_ptr<const std::string> file;
  int line = 0;
  int column = 0;

  // "sweeps/demo.yaml:14:9"
  std::string text() const;
};

// Throws Error(kConfig): "<place>: <problem>", with file, line, column and value as context.
[[noreturn]] void refuse(const Place& place, const std::string& problem,
                         const std::string& value = "");

// Calls `read`; an Error(kConfig) that has no place yet is thrown again with this one.
template <typename Read>
auto at_place(const Place& place, const Read& read) -> decltype(read()) {
  try {
    return read();
  } catch (const Error& e) {
    for (const auto& [name, value] : e.context()) {
      if (name == "line") throw;
    }
    refuse(place, e.what());
  }
}

}  // namespace assay::spec
