#include "datasets/text_set.h"

#include <fmt/format.h>

#include "datasets/austen.h"
#include "datasets/compressed.h"
#include "datasets/files.h"
#include "datasets/text_rules.h"
#include "datasets/utf8.h"
#include "harness/core/error.h"
#include "harness/core/suggest.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{4} << 30;

std::vector<std::string> open_text(const Json& data, const FileSet& files) {
  const std::string join = text_parameter(data, "join", "file");
  const std::string separator = text_parameter(data, "separator", "");
  check_separator(separator, join);
  std::vector<std::string> documents;
  for (const InputFile& file : all_files(files, "text")) {
    const std::string text = read_inflated(file, kMaxTextBytes);
    check_utf8(text, file.path.string());
    if (separator.empty()) {
      documents.push_back(joined_rows(text, join));
    } else {
      for (std::string& document : split_documents(text, separator)) {
        documents.push_back(std::move(document));
      }
    }
  }
  return documents;
}

std::vector<std::string> open_austen(const Json& data, const FileSet& files) {
  const std::string split = data.value("split", "train");
  const std::vector<std::string> wanted = texts_parameter(data, split);
  if (wanted.empty()) refuse_no_novel(split);
  const InputFile& file = all_files(files, "austen")[0];
  const std::map<std::string, std::string> novels = read_austen(file);
  std::vector<std::string> documents;
  for (const std::string& name : wanted) {
    const auto found = novels.find(name);
    if (found == novels.end()) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("reader 'austen': no novel '{}' in {}{}", name, file.path.string(),
                              suggestion(name, austen_novels())));
    }
    documents.push_back(found->second);
  }
  return documents;
}

}  // namespace

void check_separator(const std::string& separator, const std::string& join) {
  if (separator.empty() || join == "file") return;
  throw Error(ErrorKind::kConfig,
              fmt::format("reader 'text': separator: \"{}\" with join: {}; a separator goes with "
                          "join: file only; leave one of them out",
                          separator, join),
              {{"field", "separator"}, {"value", separator}});
}

void refuse_no_novel(const std::string& split) {
  throw Error(ErrorKind::kConfig,
              fmt::format("reader 'austen': split '{}' names no novel{}", split,
                          suggestion("", austen_novels())),
              {{"field", split}});
}

std::vector<std::string> open_documents(const Json& data, const FileSet& files) {
  const std::string reader = reader_name(data);
  std::vector<std::string> documents;
  if (reader == "text") {
    documents = open_text(data, files);
  } else if (reader == "austen") {
    documents = open_austen(data, files);
  } else {
    throw Error(ErrorKind::kConfig,
                fmt::format("reader '{}' has no text; legal: text, austen", reader));
  }
  const bool strip = bool_parameter(data, "strip", false);
  const std::int64_t most = integer_parameter(data, "max_characters", 0);
  std::vector<std::string> kept;
  for (const std::string& document : documents) {
    std::string_view text = strip ? stripped(document) : std::string_view(document);
    if (most > 0) {
      text = first_characters(text, most);
    }
    if (!text.empty()) {
      kept.emplace_back(text);
    }
  }
  if (kept.empty()) {
    throw Error(ErrorKind::kData, fmt::format("reader '{}': the split holds no text", reader));
  }
  return kept;
}

}  // namespace assay::datasets
