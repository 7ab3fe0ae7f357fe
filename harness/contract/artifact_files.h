#pragma once

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"

// What a published artifact says of its own content (docs/formats/store.md), and how its readers
// check it. An artifact is a folder with result.json and files, or a single .json file; its result
// has "digests" {name: SHA-256 of the file} and "digest", that of the result itself.

namespace assay {

inline constexpr const char* kResultName = "result.json";

// SHA-256 of a result without its member "digest", as compact text.
std::string result_digest(const Json& result);

// The digest in a text that published_text() returned, which is that of the text; a line feed may
// follow. Tells most results that are whole without parsing them: "" says nothing.
std::string_view published_digest(std::string_view text);

// Sets the member "digest" of a result and returns its compact text.
std::string published_text(Json& result);

// Throws Error(kData) naming `file` if a result is not the one that was published: no or another
// digest.
void check_result_digest(const Json& result, const std::filesystem::path& file);

// A published file is read-only and bears a fixed time, so that a later write shows: sealed it is
// what its digest says. Throws Error(kIo).
void seal(const std::filesystem::path& file);
bool is_sealed(const struct stat& status);

// The files of an artifact as inputs: with their digests; large ones that are still sealed are not
// read again to be believed. Throws Error(kData) naming the file if its result.json is malformed or
// not what was published, or a file is missing.
FileSet artifact_files(const std::filesystem::path& artifact,
                       std::shared_ptr<InputWatch> watch = nullptr);

// Differs from that of an artifact that was published in its place since: for whoever keeps what it
// has read of one. Throws Error(kIo) if there is none.
std::string publication_of(const std::filesystem::path& artifact);

}  // namespace assay
