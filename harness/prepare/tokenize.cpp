#include <ATen/ATen.h>

#include <algorithm>

#include "datasets/text_rules.h"
#include "datasets/text_set.h"
#include "datasets/token_set.h"
#include "datasets/tokenizer.h"
#include "harness/base/error.h"
#include "harness/contract/stage_files.h"
#include "harness/contract/stage_recipe.h"
#include "harness/contract/stage_result.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/prepare/stages.h"

namespace assay::prepare {
namespace {

// The tokenizer of the stage's model. A network made from a configuration alone has no files; with
// 256 ids its tokens are bytes.
std::unique_ptr<const datasets::Tokenizer> tokenizer_of(const StageContext& context) {
  const FileSet files = model_files(context);
  if (!files.empty()) return datasets::open_tokenizer(files);
  const Json config = model_of(context).config;
  if (config.is_object() && config.value("vocab_size", 0) == 256) {
    return datasets::byte_tokenizer();
  }
  throw Error(ErrorKind::kConfig,
              "the model has no tokenizer: it has no files, and its vocab_size is not 256 (bytes)");
}

// What tells two tokenizers apart, whatever models they stand beside: the digests of their files,
// or "bytes". Figures of models with one tokenizer may then share a table.
Json tokenizer_identity(const StageContext& context) {
  Json files = Json::object();
  for (const InputFile& file : model_files(context)) {
    const std::vector<std::string>& known = tokenizer_files();
    if (std::find(known.begin(), known.end(), file.name) != known.end()) {
      files[file.name] = file.digest;
    }
  }
  return files.empty() ? Json("bytes") : files;
}

}  // namespace

Json tokenize(StageContext& context) {
  const auto tokenizer = tokenizer_of(context);
  const std::vector<std::string> documents =
      datasets::open_documents(data_of(context), data_files(context));
  const datasets::TokenSet tokens = datasets::tokenize(*tokenizer, documents);
  datasets::write_tokens(context.output() / datasets::kTokensFile, tokens);
  const datasets::HiddenBytes hidden = datasets::hidden_bytes(documents);
  Json result = {{"metrics",
                  {{"tokens", tokens.size()},
                   {"words", tokens.words.sum().item<std::int64_t>()},
                   {"bytes", tokens.bytes.sum().item<std::int64_t>()},
                   {"documents", tokens.documents()}}},
                 {"fingerprint",
                  {{"data", data_of(context)},
                   {"tokenizer", tokenizer_identity(context)},
                   {"adds_bos", tokenizer->adds_bos()},
                   {"vocabulary", tokenizer->vocabulary_size()},
                   {"carriage_returns", hidden.carriage_returns},
                   {"byte_order_marks", hidden.byte_order_marks}}}};
  const std::string note = datasets::note_of(hidden);
  if (!note.empty()) add_note(result, note);
  return result;
}

}  // namespace assay::prepare
