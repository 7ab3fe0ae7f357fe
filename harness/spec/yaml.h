#pragma once

#include <string>
#include <string_view>

#include "harness/spec/node.h"

namespace assay::spec {

// What a document may hold; more is refused before it is built.
struct YamlLimits {
  std::size_t max_bytes = std::size_t{4} << 20;
  std::size_t max_nodes = 200'000;  // with aliases expanded
  std::size_t max_depth = 40;
};

// Parses one YAML document; aliases are expanded and merge keys (`<<`, YAML 1.1) are gone. `file` names it in errors and places. Throws Error(kConfig) with file,
// line and column: malformed YAML, a key twice in one map, NUL bytes, text that is not UTF-8, a
// second document, a tag, an alias to an anchor that is not complete, a merge key over anything but
// maps, more than the limits allow.
Node parse_yaml(std::string_view text, const std::string& file, const YamlLimits& limits = {});

// YAML text that parses to an equal tree.
std::string emit_yaml(const Node& node);

}  // namespace assay::spec
