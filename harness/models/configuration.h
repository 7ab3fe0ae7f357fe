#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"

namespace assay::models {

// A family's configuration read from outside against its field list (the one that the catalogue
// shows): every field present is checked for type and range, absent or null ones take the default.
// Keys that the list lacks are left alone, since a config.json says much that no forward pass
// needs.
class Configuration {
 public:
  // Throws Error(kConfig) naming family, field, value and legal values.
  Configuration(std::string family, const std::vector<ParameterSchema>& fields, const Json& given);

  std::int64_t integer(const std::string& field) const;
  double real(const std::string& field) const;
  bool flag(const std::string& field) const;
  std::string text(const std::string& field) const;
  std::vector<std::int64_t> integers(const std::string& field) const;
  std::vector<double> reals(const std::string& field) const;

  const Json& values() const { return values_; }  // every field of the list
  const Json& given() const { return given_; }    // as it came

  // Throws Error(kUnsupported) if the given field is present, not null and not `only`.
  void require(const std::string& field, const Json& only, std::string_view reason) const;

  [[noreturn]] void reject(const std::string& field, const std::string& problem) const;

 private:
  std::string family_;
  Json given_;
  Json values_;
};

// Short forms for field lists.
ParameterSchema integer_field(std::string name, Json fallback, double minimum, double maximum,
                              std::string doc);
ParameterSchema real_field(std::string name, Json fallback, double minimum, double maximum,
                           std::string doc);
ParameterSchema flag_field(std::string name, bool fallback, std::string doc);
ParameterSchema text_field(std::string name, Json fallback, std::vector<std::string> choices,
                           std::string doc);
ParameterSchema reals_field(std::string name, Json fallback, double minimum, double maximum,
                            std::string doc);
ParameterSchema integers_field(std::string name, Json fallback, double minimum, double maximum,
                               std::string doc);

}  // namespace assay::models
