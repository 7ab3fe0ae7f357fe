#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "harness/base/digest.h"
#include "harness/contract/catalogue.h"
#include "harness/contract/inspection.h"
#include "harness/supervise/provider_files.h"

namespace assay::supervise {

// Asks a provider what it offers: starts it, sends `describe`, reads and checks the answer. Cached
// in `cache` by the command, by the identity (size, times, inode) of the files in it, by variables
// that say where a language finds its modules, and by the digests of the files that the catalogue
// names; "" as `cache` always asks. Throws Error(kEnvironment) if it does not start or answer
// within `timeout_s`, Error(kData) for a bad catalogue, Error(kConfig) for one that names a file
// which is not there.
Catalogue describe(const std::vector<std::string>& command, const std::filesystem::path& cache,
                   double timeout_s = 120, const FileDigest& digest = sha256_file);

// Asks a provider that offers it (Catalogue::inspects) what would fail: one answer for each
// question that is wanted (indices, ascending). It reads headers, so it is given minutes at most.
// Throws as describe().
std::vector<Answer> inspect(const std::vector<std::string>& command,
                            const std::vector<Question>& questions,
                            const std::vector<std::size_t>& wanted, double timeout_s = 600);

// A file name that changes with the command and the files in it: answers under it are remembered.
std::string command_identity(const std::vector<std::string>& command);

// $XDG_CACHE_HOME/assay/catalogues, else ~/.cache/assay/catalogues, else "".
std::filesystem::path catalogue_cache();

// The command of the built-in executor: $ASSAY_EXEC, else `assay-exec` beside this program, else
// ../libexec/assay-exec from there. Throws Error(kEnvironment) listing the places looked at.
std::vector<std::string> builtin_command();

// The identity of a foreign provider: its declared version and a digest of the content of every
// file that its catalogue names and that stands in its command (a program found through PATH is not
// one). Two contents, two identities. Throws Error(kConfig) for one that cannot be told apart from
// its successor: it names no files, states no version, and is not one file on its command line.
std::string provider_version(const std::vector<std::string>& command, const Catalogue& catalogue,
                             const FileDigest& digest = sha256_file);
// The same from files_of_provider().
std::string provider_version(const std::vector<std::string>& command, const Catalogue& catalogue,
                             const FileSet& files);

// What all providers offer together.
class Providers {
 public:
  // `foreign`: the `providers:` commands of a sweep. The version of a foreign catalogue becomes its
  // provider_version(), and it is checked against what all offer together. Throws Error(kConfig) if
  // two providers have one name, or offer a stage, method, metric, family or reader of the same
  // name, Error(kData) for a reference to what nobody offers.
  static Providers gather(const std::vector<std::vector<std::string>>& foreign, bool with_builtin,
                          const std::filesystem::path& cache = catalogue_cache(),
                          const FileDigest& digest = sha256_file);

  // One in the order given, the built-in first.
  const std::vector<Catalogue>& catalogues() const { return catalogues_; }
  // Provider name -> command, as SupervisorOptions::providers wants it.
  const std::map<std::string, std::vector<std::string>>& commands() const { return commands_; }

  // What each was made of when it was gathered, also the built-in one.
  const ProviderFiles& files() const { return files_; }

  void add(Catalogue catalogue, std::vector<std::string> command, FileSet files = {});

 private:
  std::vector<Catalogue> catalogues_;
  std::map<std::string, std::vector<std::string>> commands_;
  ProviderFiles files_;
};

}  // namespace assay::supervise
