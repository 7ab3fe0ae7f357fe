#include "datasets/text.h"

#include <fmt/format.h>

#include "datasets/compressed.h"
#include "datasets/file_head.h"
#include "datasets/files.h"
#include "datasets/reader.h"
#include "datasets/readers/documents.h"
#include "datasets/text_rules.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{4} << 30;

ReaderDeclaration declaration() {
  ReaderDeclaration reader{
      .name = "text",
      .title = "UTF-8 text files, plain or gzip",
      .task = "language",
      .parameters = {{.name = "join",
                      .type = ParameterType::kString,
                      .default_value = "file",
                      .choices = join_rules(),
                      .doc = "How the lines of a file become one text."},
                     {.name = "separator",
                      .type = ParameterType::kString,
                      .default_value = "",
                      .doc = "Splits each file into documents, such as <|endoftext|>."}}};
  for (ParameterSchema& parameter : document_parameters()) {
    reader.parameters.push_back(std::move(parameter));
  }
  return reader;
}

// A separator cuts a file as it is.
void check_separator(const std::string& separator, const std::string& join) {
  if (separator.empty() || join == "file") return;
  throw Error(ErrorKind::kConfig,
              fmt::format("reader 'text': separator: \"{}\" with join: {}; a separator goes with "
                          "join: file only; leave one of them out",
                          separator, join),
              {{"field", "separator"}, {"value", separator}});
}

std::vector<std::string> open(const Json& data, const FileSet& files) {
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

// A character may be cut where the head ends.
std::string_view without_cut_character(const FileHead& head) {
  std::string_view bytes = head.bytes;
  if (bytes.size() < kTextBlock) return bytes;
  for (int i = 0; i < 4 && !bytes.empty(); ++i) {
    const auto last = static_cast<unsigned char>(bytes.back());
    bytes.remove_suffix(1);
    if ((last & 0xC0) != 0x80) break;  // it began a character
  }
  return bytes;
}

void scan(HeaderScan& scan) {
  const std::int64_t most = integer_parameter(scan.data, "max_characters", 0);
  const std::string separator = text_parameter(scan.data, "separator", "");
  check_separator(separator, text_parameter(scan.data, "join", "file"));
  const bool cut = most > 0 && separator.empty();
  // Where nothing else changes the text, its beginning shows what is left.
  const bool shown = cut && !bool_parameter(scan.data, "strip", false) &&
                     text_parameter(scan.data, "join", "file") == "file";
  std::int64_t characters = 0;
  bool known = true;
  for (const InputFile& file : all_files(scan.files, "text")) {
    scan.attempt([&] {
      const FileHead head = read_head(file, kTextBlock);
      scan.headers.bytes += head.stored_bytes;
      const std::string_view whole = without_cut_character(head);
      check_utf8(whole, file.path.string());
      std::string_view read = whole;
      std::int64_t bytes = head.inflated_bytes;
      if (shown) read = utf8_first(whole, static_cast<std::size_t>(most));
      if (read.size() < whole.size()) bytes = static_cast<std::int64_t>(read.size());
      if (cut && bytes / kMostBytesOfCharacter > most) bytes = most * kMostBytesOfCharacter;
      characters += bytes;
      // What a gzip file says of its length is that of its last stream.
      known = known && (!head.compressed || head.bytes.size() < kTextBlock);
      if (scan.headers.beginning.empty()) scan.headers.beginning = read;
    });
  }
  scan.headers.characters = known && scan.headers.problems.empty() ? characters : -1;
  if (known && characters == 0 && scan.headers.problems.empty()) {
    scan.headers.characters = -1;  // that it is too short for a window need not be said, too
    scan.refuse(*all_files(scan.files, "text").begin(), "holds no text; is it the right file?");
  }
}

}  // namespace

Reader text_reader() {
  return {.declaration = declaration(), .open_documents = open, .scan = scan};
}

}  // namespace assay::datasets
