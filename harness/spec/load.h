#pragma once

#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/spec/node.h"
#include "harness/spec/sweep.h"

// The parts of load_sweep. Each reads one part of the document into `sweep` and makes the paths in
// it absolute; each throws Error(kConfig) with the place.

namespace assay::spec {

void load_data(Node& node, const Catalogue& catalogue, Sweep& sweep);
void load_models(Node& node, const Catalogue& catalogue, Sweep& sweep);
std::vector<Provider> providers_from(Node& node);
// After the trials: an entry that fits none of them is refused.
void load_evaluations(Node& node, const Catalogue& catalogue, Sweep& sweep);

// The parameter of one of `schemas` named `member.key` takes the list `value` whole.
bool is_list_parameter(const ParameterSchema& schema);
const ParameterSchema* find_schema(const std::vector<ParameterSchema>& schemas,
                                   std::string_view name);
std::vector<std::string> names_of(const std::vector<ParameterSchema>& schemas);

// The values that a parameter takes: a list of them for a scalar parameter, a list of lists for a
// list parameter. Each checked and canonical. Paths become absolute.
std::vector<Json> parameter_values(const ParameterSchema& schema, Node& node);
// One value.
Json parameter_value(const ParameterSchema& schema, Node& node);

// checked_parameters with the place of the block in its errors.
Json resolved_parameters(const std::vector<ParameterSchema>& schemas, const Json& given,
                         const std::string& owner, const Place& place);

// Letters, digits and . _ - + / (names of models and data).
void check_name(const std::string& name, const Place& place, std::string_view what);

}  // namespace assay::spec
