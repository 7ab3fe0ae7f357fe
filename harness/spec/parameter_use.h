#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/spec/place.h"

namespace assay::spec {

// Which parameters a block writes out, and which of them its trials read. A value that no trial
// reads says that its author expects something that does not happen.
class ParameterUse {
 public:
  // `place` gives `method` this parameter; one place may give it to several methods.
  void written(const MethodDeclaration& method, const ParameterSchema& schema, const Place& place);

  // A trial of the block has this step, and reads these of its parameters.
  void read(const MethodDeclaration& method, std::uint32_t step, const Json& parameters);

  // Throws Error(kConfig) at the first parameter that is written though no trial reads it. Methods
  // without trials (excluded ones) are passed over. `what` names the block.
  void check(const std::string& what) const;

 private:
  using Parameter = std::pair<const MethodDeclaration*, std::string>;
  struct Written {
    Place place;
    std::map<Parameter, const ParameterSchema*> parameters;
  };

  std::map<std::string, Written> written_;  // by place
  std::set<Parameter> read_;
  std::set<const MethodDeclaration*> methods_;  // of trials
  std::set<std::uint32_t> steps_;               // seen
};

}  // namespace assay::spec
