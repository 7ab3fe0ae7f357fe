#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/formats/input_file.h"

// What a reader is given: recipe()["data"] and its files (harness/contract/stage_files.h).

namespace assay::datasets {

// All files, in order. Throws Error(kConfig) if there is none.
const FileSet& all_files(const FileSet& files, std::string_view reader);

// The one file of a role. Throws Error(kConfig) naming reader and role if it is not there once.
const InputFile& file_of_role(const FileSet& files, std::string_view role, std::string_view reader);

// data["reader"]. Throws Error(kConfig) if it is missing.
std::string reader_name(const Json& data);

// data["parameters"][name], or `otherwise`. Throws Error(kConfig) naming reader and parameter if
// the type is another.
std::string text_parameter(const Json& data, const std::string& name, const std::string& otherwise);
std::int64_t integer_parameter(const Json& data, const std::string& name, std::int64_t otherwise);
bool bool_parameter(const Json& data, const std::string& name, bool otherwise);
std::vector<std::string> texts_parameter(const Json& data, const std::string& name);

// Throws Error(kData) that says why `what`, a file or a part of one, is not read.
[[noreturn]] void refuse_file(std::string_view what, std::string_view why);

}  // namespace assay::datasets
