#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "harness/base/json.h"

// Which files a stage may open, and what they held when the run was planned. Loaders take these
// values and never look into a folder: a file that the recipe does not name cannot be opened.

namespace assay {

class InputWatch;

// What a file system tells of a file without reading it. A file of the same identity has the same
// content, unless it was written within the resolution of the clock. There is no device number:
// nodes that share a file system number it differently.
struct FileIdentity {
  std::uint64_t size_bytes = 0;
  std::int64_t mtime_ns = 0;  // since 1970
  std::int64_t ctime_ns = 0;  // of the last change of content or inode; no program can set it back
  std::uint64_t inode = 0;

  bool operator==(const FileIdentity&) const = default;
};

// A file, or a folder that is one input as a whole (images).
struct InputFile {
  std::string role;            // "weights", "images"; "": the reader knows one role only
  std::string name;            // as the recipe has it: "model-00001-of-00002.safetensors"
  std::filesystem::path path;  // where it lies on this machine
  std::string digest;          // SHA-256 of the content, of a folder its Manifest's; "": any
  std::optional<FileIdentity> identity;  // none: too fresh to be told by it, or a folder
  std::filesystem::path manifest;        // of a folder: the file with its Manifest
  bool published = false;                // part of an artifact of the store

  bool operator==(const InputFile&) const = default;
};

// The files of a model or of one split of a data set, in the order of the recipe. A (role, name)
// stands in it once, except that data sets may name files in different folders alike.
class FileSet {
 public:
  FileSet() = default;
  explicit FileSet(std::vector<InputFile> files, std::shared_ptr<InputWatch> watch = nullptr)
      : files_(std::move(files)), watch_(std::move(watch)) {}

  bool empty() const { return files_.empty(); }
  std::size_t size() const { return files_.size(); }
  auto begin() const { return files_.begin(); }
  auto end() const { return files_.end(); }
  const InputFile& operator[](std::size_t index) const { return files_[index]; }

  // Null if there is none.
  const InputFile* find(std::string_view role, std::string_view name) const;
  const InputFile* first(std::string_view role) const;
  // In order.
  std::vector<const InputFile*> of_role(std::string_view role) const;

  // Where files that stay open are made known (harness/formats/input_watch.h); null: nobody
  // watches.
  const std::shared_ptr<InputWatch>& watch() const { return watch_; }

 private:
  std::vector<InputFile> files_;
  std::shared_ptr<InputWatch> watch_;
};

// The two JSON forms: [{role, name, digest}], which enters recipes and so keys, and [{role, name,
// path, identity: {size_bytes, mtime_ns, ctime_ns, inode}}], which stands beside them ("identity"
// and "manifest" where they are known).
Json recipe_json(const FileSet& files);
Json locations_json(const FileSet& files);

// Joins them. Throws Error(kConfig) naming the entry if they do not list the same files in the same
// order.
FileSet files_from_json(const Json& recipe_files, const Json& location_files,
                        std::shared_ptr<InputWatch> watch = nullptr);

Json to_json(const FileIdentity& identity);
// Throws Error(kData) for anything else.
FileIdentity identity_from_json(const Json& json);

// Throws Error(kIo) naming the file.
FileIdentity identity_of(const std::filesystem::path& path);
FileIdentity identity_of(int descriptor, const std::filesystem::path& path);
// Whether a change after `now_ns` would show in the identity: the file was changed more than two
// seconds before, the coarsest clock of a file system.
std::int64_t wall_clock_ns();
bool is_settled(const FileIdentity& identity, std::int64_t now_ns = wall_clock_ns());

// Whole content, read once. Throws Error(kData) "changed since the plan" naming the file if the
// bytes read are not those of `digest`; as read_file() beside.
std::string read_input(const InputFile& file, std::size_t max_bytes = std::size_t{64} << 20);

// A file that no recipe names (tests, tools): any content will do.
InputFile unplanned(const std::filesystem::path& path, const std::string& role = "");

// That `file` holds something else than when the run was planned, or than was published.
[[noreturn]] void refuse_changed(const InputFile& file);

}  // namespace assay
