#include "datasets/files.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay::datasets {
namespace {

const Json* parameter(const Json& data, const std::string& name) {
  const auto parameters = data.find("parameters");
  if (parameters == data.end() || !parameters->is_object()) {
    return nullptr;
  }
  const auto value = parameters->find(name);
  return value == parameters->end() || value->is_null() ? nullptr : &*value;
}

[[noreturn]] void wrong_type(const Json& data, const std::string& name, const Json& value,
                             std::string_view legal) {
  throw Error(ErrorKind::kConfig, fmt::format("reader '{}': {} is {}, not {}", reader_name(data),
                                              name, value.dump(), legal));
}

}  // namespace

const FileSet& all_files(const FileSet& files, std::string_view reader) {
  if (files.empty()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("reader '{}': the split has no files; name them in the sweep", reader));
  }
  return files;
}

const InputFile& file_of_role(const FileSet& files, std::string_view role,
                              std::string_view reader) {
  const std::vector<const InputFile*> found = files.of_role(role);
  if (found.size() != 1) {
    throw Error(ErrorKind::kConfig,
                fmt::format("reader '{}': needs one file of the role '{}', got {}", reader, role,
                            found.size()));
  }
  return *found.front();
}

std::string reader_name(const Json& data) {
  if (!data.is_object() || !data.contains("reader") || !data["reader"].is_string()) {
    throw Error(ErrorKind::kConfig, "a data entry lacks its reader");
  }
  return data["reader"].get<std::string>();
}

std::string text_parameter(const Json& data, const std::string& name,
                           const std::string& otherwise) {
  const Json* value = parameter(data, name);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_string()) {
    wrong_type(data, name, *value, "a text");
  }
  return value->get<std::string>();
}

std::int64_t integer_parameter(const Json& data, const std::string& name, std::int64_t otherwise) {
  const Json* value = parameter(data, name);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_number_integer()) {
    wrong_type(data, name, *value, "an integer");
  }
  return value->get<std::int64_t>();
}

bool bool_parameter(const Json& data, const std::string& name, bool otherwise) {
  const Json* value = parameter(data, name);
  if (value == nullptr) {
    return otherwise;
  }
  if (!value->is_boolean()) {
    wrong_type(data, name, *value, "true or false");
  }
  return value->get<bool>();
}

std::vector<std::string> texts_parameter(const Json& data, const std::string& name) {
  const Json* value = parameter(data, name);
  std::vector<std::string> texts;
  if (value == nullptr) {
    return texts;
  }
  if (!value->is_array()) {
    wrong_type(data, name, *value, "a list of texts");
  }
  for (const Json& item : *value) {
    if (!item.is_string()) {
      wrong_type(data, name, item, "a text");
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

void refuse_file(std::string_view what, std::string_view why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", what, why), {{"file", std::string(what)}});
}

}  // namespace assay::datasets
