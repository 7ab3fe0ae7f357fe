#include "harness/supervise/input_bracket.h"

#include <algorithm>

#include "harness/contract/artifact_files.h"
#include "harness/contract/stage_files.h"
#include "harness/formats/manifest.h"

namespace assay::supervise {
namespace {

// A file that a provider would find by listing the folder itself.
void check_names(const InputFile& folder, const Manifest& manifest) {
  const Manifest now = list_folder(folder.path);
  const bool same = std::equal(now.begin(), now.end(), manifest.begin(), manifest.end(),
                               [](const ManifestEntry& a, const ManifestEntry& b) {
                                 return a.path == b.path && a.folder == b.folder;
                               });
  if (!same) refuse_changed(folder);
}

}  // namespace

InputBracket::InputBracket(const Json& recipe, const Json& locations,
                           const std::map<std::string, std::string>& artifacts) {
  for (const auto& [name, path] : artifacts) {
    for (const InputFile& file : artifact_files(path)) add(file);
  }
  for (const char* member : {"model", "data"}) {
    for (const InputFile& file : input_files(recipe, locations, member)) {
      if (file.manifest.empty()) {
        add(file);
      } else {
        add_folder(file);
      }
    }
  }
}

void InputBracket::add(const InputFile& file) { uses_.push_back(begin_use(file)); }

void InputBracket::add_folder(const InputFile& folder) {
  const Manifest manifest = read_manifest(folder);
  check_names(folder, manifest);
  for (const ManifestEntry& entry : manifest) {
    if (!entry.folder) add(file_in(folder, entry));
  }
  folders_.push_back(folder);
}

void InputBracket::check() {
  for (InputUse& use : uses_) end_use(use);
  for (const InputFile& folder : folders_) check_names(folder, read_manifest(folder));
}

}  // namespace assay::supervise
