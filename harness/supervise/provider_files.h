#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/contract/catalogue.h"
#include "harness/formats/input_watch.h"

namespace assay::supervise {

// SHA-256 of a file's content; throws Error(kIo). plan::FileDigests remembers those it has read.
using FileDigest = std::function<std::string(const std::filesystem::path&)>;

// The files that a provider was made of when the run was planned: those that stand in its command
// (role "command", named by their place in it; a program found through PATH is none of them) and
// those that its catalogue names (role "code"). With their digests, which make its version.
FileSet files_of_provider(const std::vector<std::string>& command, const Catalogue& catalogue,
                          const FileDigest& digest);

// By provider; and as ranks tell each other.
using ProviderFiles = std::map<std::string, FileSet>;
Json json_of(const ProviderFiles& files);
ProviderFiles provider_files_from(const Json& json);

// The files of one executor's provider, from before its start to its end: what it runs must be what
// the keys of the plan stand for, and it may load a file at any time between.
class ProviderWatch {
 public:
  ProviderWatch() = default;
  // Throws as check() does.
  ProviderWatch(std::string provider, const FileSet& files);

  // Throws Error(kEnvironment) naming the file and the provider if one holds something else than it
  // did when the run was planned, or was replaced since this watch began.
  void check();

 private:
  std::string provider_;
  std::vector<InputUse> uses_;
};

}  // namespace assay::supervise
