#pragma once

#include <string>

#include "harness/core/json.h"

// Fields of a tokenizer.json, checked: a field of another type throws Error(kData) naming `what`
// and the field.

namespace assay::datasets {

std::string type_of(const Json& json, const std::string& what);
std::string text_field(const Json& json, const std::string& name, const std::string& otherwise,
                       const std::string& what);
bool flag_field(const Json& json, const std::string& name, bool otherwise, const std::string& what);
const Json& list_field(const Json& json, const std::string& name, const std::string& what);
const Json& object_field(const Json& json, const std::string& name, const std::string& what);

// A member, or null if it is not there.
const Json& member(const Json& json, const std::string& name);

// An id: an integer in 0 .. 2^24.
std::int32_t id_value(const Json& value, const std::string& what);

}  // namespace assay::datasets
