#pragma once

#include <map>
#include <set>
#include <string>

#include "results/store/reader.h"

namespace assay::results {

// Tells apart what stands under one name. A model may have other weights in the same place or in
// another run, and a method may have been changed since: these are as different as two models, and
// two methods.
class Contents {
 public:
  void note(const ResultRow& row);

  // "m"; where rows of this model have several weights "m (weights 1f3a9c02)".
  std::string model_name(const ResultRow& row) const;
  // "rtn"; where rows of this method were made by several versions of one provider or stage
  // "rtn (code 5d0c7e11)".
  std::string method_name(const ResultRow& row) const;

 private:
  std::map<std::string, std::set<std::string>> weights_;  // by model
  // By method and what has versions: a provider, or a stage of the built-in one.
  std::map<std::string, std::map<std::string, std::set<std::string>>> versions_;
};

}  // namespace assay::results
