#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

// Names of an enumeration's values, in one table beside it:
//
//   constexpr auto enum_names(Granularity) {
//     return std::to_array<EnumName<Granularity>>(
//         {{Granularity::kTensor, "tensor"}, {Granularity::kChannel, "channel"}});
//   }
//
//   enum_name(Granularity::kTensor)                      // "tensor"
//   enum_from<Granularity>("chanel", "granularity")      // throws, and suggests "channel"

namespace assay {

template <typename Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

// "unknown" for a value that the table lacks.
template <typename Enum>
constexpr std::string_view enum_name(Enum value) {
  for (const EnumName<Enum>& each : enum_names(value)) {
    if (each.value == value) return each.name;
  }
  return "unknown";
}

template <typename Enum>
std::vector<std::string> enum_choices() {
  std::vector<std::string> names;
  for (const EnumName<Enum>& each : enum_names(Enum())) names.emplace_back(each.name);
  return names;
}

// Throws Error(kind) with the legal names: "`what` 'chanel' is not known; did you mean ...".
template <typename Enum>
Enum enum_from(std::string_view name, std::string_view what, ErrorKind kind = ErrorKind::kConfig) {
  for (const EnumName<Enum>& each : enum_names(Enum())) {
    if (each.name == name) return each.value;
  }
  throw Error(kind, std::string(what) + " '" + std::string(name) + "' is not known" +
                        suggestion(std::string(name), enum_choices<Enum>()));
}

}  // namespace assay
