#pragma once

#include <map>
#include <set>
#include <string>

#include "harness/plan/inputs.h"

namespace assay::testing {

// Files that exist only here: path -> content. A folder exists if a file lies below it, or if it
// stands in `folders`.
class FakeDigests : public plan::InputDigests {
 public:
  std::map<std::string, std::string> files;
  std::set<std::string> folders;  // without files
  std::map<std::string, std::string> variables;
  std::map<std::string, int> asked;  // how often the digest of a path was asked for

  // config.json, model.safetensors and, with a tokenizer, tokenizer.json.
  void add_model(const std::string& folder, bool tokenizer = false);

  Kind kind(const std::filesystem::path& path) override;
  std::vector<std::string> files_in(const std::filesystem::path& folder) override;
  std::vector<std::string> folders_in(const std::filesystem::path& folder) override;
  Known known(const std::filesystem::path& path) override;
  Manifest manifest(const std::filesystem::path& folder) override;
  std::string text(const std::filesystem::path& path) override;
  std::optional<std::string> environment(std::string_view name) override;
};

}  // namespace assay::testing
