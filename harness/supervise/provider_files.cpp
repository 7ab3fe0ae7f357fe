#include "harness/supervise/provider_files.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "harness/base/error.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;

// With its identity, unless it is too fresh to be told by it.
InputFile seen_now(const std::string& role, const std::string& name, const fs::path& path,
                   const FileDigest& digest) {
  const FileIdentity before = identity_of(path);
  InputFile file{.role = role, .name = name, .path = path, .digest = digest(path)};
  if (identity_of(path) == before && is_settled(before)) file.identity = before;
  return file;
}

[[noreturn]] void refuse_provider_file(const InputFile& file, const std::string& provider,
                                       const std::string& problem) {
  throw Error(ErrorKind::kEnvironment,
              fmt::format("{} of provider '{}' {}", file.path.string(), provider, problem),
              {{"file", file.path.string()}, {"provider", provider}});
}

[[noreturn]] void refuse_provider_file(const InputFile& file, const std::string& provider,
                                       const Error& error) {
  if (error.kind() == ErrorKind::kData) {
    refuse_provider_file(
        file, provider,
        "changed since the plan; run the same command again, which plans with the new one");
  }
  refuse_provider_file(
      file, provider,
      fmt::format("was written to or replaced since its executor started, or cannot be read, so "
                  "what that has loaded is not known: {}",
                  error.what()));
}

}  // namespace

FileSet files_of_provider(const std::vector<std::string>& command, const Catalogue& catalogue,
                          const FileDigest& digest) {
  std::vector<InputFile> files;
  for (std::size_t i = 0; i < command.size(); ++i) {
    std::error_code code;
    if (i == 0 && command[i].find('/') == std::string::npos) continue;
    if (!fs::is_regular_file(command[i], code)) continue;
    files.push_back(seen_now("command", std::to_string(i), command[i], digest));
  }
  for (const std::string& file : catalogue.files)
    files.push_back(seen_now("code", file, file, digest));
  return FileSet(std::move(files));
}

Json json_of(const ProviderFiles& files) {
  Json json = Json::object();
  for (const auto& [provider, set] : files)
    json[provider] = {{"files", recipe_json(set)}, {"locations", locations_json(set)}};
  return json;
}

ProviderFiles provider_files_from(const Json& json) {
  ProviderFiles files;
  for (const auto& item : json.items()) {
    files[item.key()] = files_from_json(item.value().at("files"), item.value().at("locations"));
  }
  return files;
}

ProviderWatch::ProviderWatch(std::string provider, const FileSet& files)
    : provider_(std::move(provider)) {
  for (const InputFile& file : files) {
    try {
      uses_.push_back(begin_use(file));
    } catch (const Error& e) {
      refuse_provider_file(file, provider_, e);
    }
  }
}

void ProviderWatch::check() {
  for (InputUse& use : uses_) {
    try {
      if (use.settled && identity_of(use.file.path) == use.identity) continue;  // not even opened
      end_use(use);
    } catch (const Error& e) {
      refuse_provider_file(use.file, provider_, e);
    }
  }
}

}  // namespace assay::supervise
