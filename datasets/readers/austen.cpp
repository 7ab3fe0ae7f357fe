#include "datasets/austen.h"

#include <fmt/format.h>

#include "datasets/files.h"
#include "datasets/reader.h"
#include "datasets/readers/documents.h"
#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay::datasets {
namespace {

ReaderDeclaration declaration() {
  const auto novels = [](const char* split, Json default_value) {
    return ParameterSchema{.name = split,
                           .type = ParameterType::kStrings,
                           .default_value = std::move(default_value),
                           .choices = austen_novels(),
                           .doc = "Novels of this split, in order."};
  };
  ReaderDeclaration reader{
      .name = "austen",
      .title = "Jane Austen's six novels as in Debian's r-cran-janeaustenr",
      .task = "language",
      .parameters = {novels("train", {"emma", "mansfield", "northanger", "pride", "sense"}),
                     novels("test", {"persuasion"})},
      .roots = {"/usr/lib/R/site-library/janeaustenr/data",
                "$ASSAY_DEPS/austen/usr/lib/R/site-library/janeaustenr/data",
                // Where ./bootstrap unpacked it, whatever folder a run starts in.
                ASSAY_DEPS_FOLDER "/austen/usr/lib/R/site-library/janeaustenr/data"},
      .files = {{"train", {{"novels", "Rdata.rdb"}}}, {"test", {{"novels", "Rdata.rdb"}}}}};
  for (ParameterSchema& parameter : document_parameters()) {
    reader.parameters.push_back(std::move(parameter));
  }
  return reader;
}

[[noreturn]] void refuse_no_novel(const std::string& split) {
  throw Error(ErrorKind::kConfig,
              fmt::format("reader 'austen': split '{}' names no novel{}", split,
                          suggestion("", austen_novels())),
              {{"field", split}});
}

std::vector<std::string> open(const Json& data, const FileSet& files) {
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

void scan(HeaderScan& scan) {
  const std::int64_t most = integer_parameter(scan.data, "max_characters", 0);
  const std::string split = scan.data.value("split", "train");
  const auto novels = texts_parameter(scan.data, split).size();
  if (novels == 0) refuse_no_novel(split);
  if (most > 0 && most < static_cast<std::int64_t>(kTextBlock))
    scan.headers.characters = most * kMostBytesOfCharacter * static_cast<std::int64_t>(novels);
}

}  // namespace

Reader austen_reader() {
  return {.declaration = declaration(), .open_documents = open, .scan = scan};
}

}  // namespace assay::datasets
