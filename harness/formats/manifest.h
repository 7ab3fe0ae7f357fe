#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/input_file.h"

namespace assay {

// One thing below a folder.
struct ManifestEntry {
  std::string path;                      // relative, '/' between names; UTF-8
  bool folder = false;                   // a folder, empty or not
  std::string digest;                    // SHA-256 of a file's content
  std::optional<FileIdentity> identity;  // of a file; none: too fresh to be told by it

  bool operator==(const ManifestEntry&) const = default;
};

// Everything below a folder that is an input: regular files and folders, links followed, sorted by
// the bytes of the path. Readers list from it and never from the folder.
using Manifest = std::vector<ManifestEntry>;

// What enters a recipe: the SHA-256 of a line `["path","digest"]` for each file and `["path"]` for
// each folder. The times of files do not count.
std::string content_digest(const Manifest& manifest);

// A line a JSON array: `["path","digest",size_bytes,mtime_ns,ctime_ns,inode]`, without the numbers
// for a file without identity, `["path"]` for a folder.
std::string text_of(const Manifest& manifest);

// Throws Error(kData) naming `what` and the line if it is malformed: also paths that leave the
// folder and entries that are not in order.
Manifest parse_manifest(std::string_view text, std::string_view what);

// The manifest of a folder of a plan. Throws Error(kData) if it is not the one of `folder.digest`;
// a folder without a manifest (no plan stands behind it) is listed, without digests.
Manifest read_manifest(const InputFile& folder);

// A file of `folder` that its manifest names.
InputFile file_in(const InputFile& folder, const ManifestEntry& entry);

// Lists a folder, in order, without digests. Throws Error(kIo) if it cannot be listed, Error(kData)
// for a name that is not UTF-8, a link to nowhere or to a folder that holds it, more than 100
// levels or 20 million entries.
Manifest list_folder(const std::filesystem::path& folder);

}  // namespace assay
