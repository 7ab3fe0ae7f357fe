#include "datasets/reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "datasets/files.h"
#include "datasets/text.h"
#include "datasets/text_rules.h"
#include "datasets/text_set.h"
#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

const std::vector<Reader>& all_readers() {
  static const std::vector<Reader> kReaders = built_in_readers();
  return kReaders;
}

// That a reader lacks `what`; legal are those for which `has` holds.
template <typename Has>
[[noreturn]] void refuse_reader(const std::string& name, const char* what, const Has& has) {
  std::vector<std::string> legal;
  for (const Reader& reader : all_readers()) {
    if (has(reader)) legal.push_back(reader.declaration.name);
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("reader '{}' has no {}; legal: {}", name, what, fmt::join(legal, ", ")));
}

}  // namespace

void HeaderScan::attempt(const std::function<void()>& look) {
  try {
    look();
  } catch (const Error& error) {
    headers.problems.push_back(error);
  }
}

void HeaderScan::refuse(const InputFile& file, const std::string& why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.path.string(), why),
              {{"file", file.path.string()}});
}

const Reader& reader_of(const Json& data) {
  const std::string name = reader_name(data);
  std::vector<std::string> legal;
  for (const Reader& reader : all_readers()) {
    if (reader.declaration.name == name) return reader;
    legal.push_back(reader.declaration.name);
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("unknown reader '{}'{}", name, suggestion(name, legal)));
}

std::vector<ReaderDeclaration> readers() {
  std::vector<ReaderDeclaration> declarations;
  for (const Reader& reader : all_readers()) declarations.push_back(reader.declaration);
  return declarations;
}

std::unique_ptr<ImageSet> open_images(const Json& data, const FileSet& files,
                                      const std::vector<std::string>& class_names) {
  const Reader& reader = reader_of(data);
  if (reader.open_images == nullptr) {
    refuse_reader(reader.declaration.name, "images",
                  [](const Reader& each) { return each.open_images != nullptr; });
  }
  return reader.open_images(data, files, class_names);
}

std::vector<std::string> open_documents(const Json& data, const FileSet& files) {
  const Reader& reader = reader_of(data);
  if (reader.open_documents == nullptr) {
    refuse_reader(reader.declaration.name, "text",
                  [](const Reader& each) { return each.open_documents != nullptr; });
  }
  const bool strip = bool_parameter(data, "strip", false);
  const std::int64_t most = integer_parameter(data, "max_characters", 0);
  std::vector<std::string> kept;
  for (const std::string& document : reader.open_documents(data, files)) {
    std::string_view text = strip ? stripped(document) : std::string_view(document);
    if (most > 0) text = utf8_first(text, static_cast<std::size_t>(most));
    if (!text.empty()) kept.emplace_back(text);
  }
  if (kept.empty()) {
    throw Error(ErrorKind::kData,
                fmt::format("reader '{}': the split holds no text", reader.declaration.name));
  }
  return kept;
}

DataHeaders read_headers(const Json& data, const FileSet& files) {
  HeaderScan scan{data, files};
  scan.attempt([&] { reader_of(data).scan(scan); });
  return std::move(scan.headers);
}

}  // namespace assay::datasets
