#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "results/board/rows.h"
#include "results/board/table.h"

namespace assay::results {

// What methods tell of their networks (MethodDeclaration::values: bits per weight, bytes, layers
// that stay float), as columns beside every figure of a trial.
class NetworkColumns {
 public:
  void add(const std::string& run, const ResultRow& row);

  // Names of the columns that have something to say of one of these (run, trial): a count that is 0
  // everywhere is left out.
  using Rows = std::vector<std::pair<std::string, std::string>>;
  std::vector<std::string> names(const Rows& rows) const;

  Column column(const std::string& name) const;
  Cell cell(const std::string& name, const std::string& run, const std::string& trial) const;

 private:
  struct Value {
    double value = 0;
    std::string names;  // of float layers
  };
  std::map<std::string, std::string> units_;  // by name
  std::map<std::pair<std::string, std::string>, std::map<std::string, Value>> values_;
};

}  // namespace assay::results
