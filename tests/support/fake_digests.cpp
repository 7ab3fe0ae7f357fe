#include "tests/support/fake_digests.h"

#include <algorithm>

#include "harness/base/digest.h"
#include "harness/base/error.h"

namespace assay::testing {

using Kind = plan::InputDigests::Kind;

void FakeDigests::add_model(const std::string& folder, bool tokenizer) {
  files[folder + "/config.json"] = "config of " + folder;
  files[folder + "/model.safetensors"] = "weights of " + folder;
  if (tokenizer) files[folder + "/tokenizer.json"] = "tokenizer of " + folder;
}

Kind FakeDigests::kind(const std::filesystem::path& path) {
  if (files.contains(path.string())) return Kind::kFile;
  const auto below = files.lower_bound(path.string() + "/");
  const bool folder = below != files.end() && below->first.starts_with(path.string() + "/");
  return folder || folders.contains(path.string()) ? Kind::kFolder : Kind::kMissing;
}

std::vector<std::string> FakeDigests::folders_in(const std::filesystem::path& folder) {
  const std::string prefix = folder.string() + "/";
  std::set<std::string> names;
  const auto add = [&](const std::string& path, bool is_folder) {
    if (!path.starts_with(prefix)) return;
    const std::string rest = path.substr(prefix.size());
    const std::size_t slash = rest.find('/');
    if (is_folder || slash != std::string::npos) names.insert(rest.substr(0, slash));
  };
  for (const auto& [path, content] : files) add(path, false);
  for (const std::string& path : folders) add(path, true);
  return {names.begin(), names.end()};
}

std::vector<std::string> FakeDigests::files_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& [path, content] : files) {
    const std::filesystem::path file = path;
    if (file.parent_path() == folder) names.push_back(file.filename().string());
  }
  return names;
}

FakeDigests::Known FakeDigests::known(const std::filesystem::path& path) {
  ++asked[path.string()];
  return {sha256(text(path)), FileIdentity{text(path).size(), 1, 2, 3}};
}

Manifest FakeDigests::manifest(const std::filesystem::path& folder) {
  Manifest manifest;
  const std::string start = folder.string() + "/";
  std::set<std::string> parents;
  for (const auto& [path, content] : files) {
    if (!path.starts_with(start)) continue;
    const std::string name = path.substr(start.size());
    manifest.push_back({name, false, sha256(content), FileIdentity{content.size(), 1, 2, 3}});
    for (std::size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
      parents.insert(name.substr(0, at));
    }
  }
  for (const std::string& path : folders) {
    if (path.starts_with(start)) parents.insert(path.substr(start.size()));
  }
  for (const std::string& name : parents) manifest.push_back({.path = name, .folder = true});
  std::sort(manifest.begin(), manifest.end(),
            [](const ManifestEntry& a, const ManifestEntry& b) { return a.path < b.path; });
  return manifest;
}

std::string FakeDigests::text(const std::filesystem::path& path) {
  const auto found = files.find(path.string());
  if (found == files.end()) throw Error(ErrorKind::kIo, "no file " + path.string());
  return found->second;
}

std::optional<std::string> FakeDigests::environment(std::string_view name) {
  const auto found = variables.find(std::string(name));
  if (found == variables.end()) return {};
  return found->second;
}

}  // namespace assay::testing
