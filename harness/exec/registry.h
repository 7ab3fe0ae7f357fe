#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/contract/inspection.h"
#include "harness/contract/stage_context.h"

namespace assay::exec {

// Answers `inspect`: one answer for each question.
using Inspect = std::function<std::vector<Answer>(const std::vector<Question>&)>;

// What an executor offers: the catalogue that `describe` answers and the bodies of its stages.
// Built once at the start from explicit lists, immutable afterwards.
class Registry {
 public:
  // Adding checks nothing but names: each `add` throws Error(kConfig) for a duplicate, naming it.
  void add(const StageImplementation& stage);
  void add(const MethodDeclaration& method);
  void add(const MetricDeclaration& metric);
  void add(const FamilyDeclaration& family);
  void add(const ReaderDeclaration& reader);

  // Says in the catalogue that `inspect` is answered, by this.
  void add_inspection(Inspect inspect);

  template <typename Declaration>
  void add_all(const std::vector<Declaration>& declarations) {
    for (const Declaration& each : declarations) add(each);
  }

  const Catalogue& catalogue() const { return catalogue_; }

  // Throws Error(kConfig) with the nearest name for a stage that nobody declared.
  const StageBody& body(const std::string& stage) const;

  // Null if the catalogue does not say `inspects`.
  const Inspect& inspection() const { return inspect_; }

 private:
  Catalogue catalogue_ = empty_catalogue();
  std::map<std::string, StageBody> bodies_;
  Inspect inspect_;

  static Catalogue empty_catalogue();
};

// Everything that this program offers.
Registry built_in_registry();

}  // namespace assay::exec
