#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <unordered_set>

#include "datasets/text.h"
#include "datasets/tokenizer_files.h"
#include "datasets/tokenizer_ids.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

// Refuses settings of transformers' LlamaTokenizer that change ids and are not in the model.
void check_settings(const TokenizerFiles& files) {
  check_class(files, {"LlamaTokenizer", "LlamaTokenizerFast", "CodeLlamaTokenizer",
                      "CodeLlamaTokenizerFast"});
  const Json& config = files.json(kTokenizerConfig);
  const std::string what = files.what(kTokenizerConfig);
  const Json& sampling = member(config, "sp_model_kwargs");
  const char* setting = flag_member_or(config, "add_eos_token", false, what) ? "add_eos_token: true"
                        : !flag_member_or(config, "add_prefix_space", true, what)
                            ? "add_prefix_space: false"
                        : !sampling.is_null() && !sampling.empty() ? "sp_model_kwargs"
                                                                   : nullptr;
  if (setting != nullptr) {
    throw Error(ErrorKind::kUnsupported, fmt::format("{}: {} is not supported", what, setting),
                {{"file", what}});
  }
}

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const TokenizerFiles& files, const std::string& name)
      : what_(files.what(name)) {
    check_settings(files);
    const auto status = processor_.LoadFromSerializedProto(files.text(name));
    if (!status.ok()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: not a SentencePiece model: {}", what_, status.ToString()),
                  {{"file", what_}});
    }
    const Json& config = files.json(kTokenizerConfig);
    add_tokens(files);
    if (processor_.bos_id() >= 0) {
      bos_ = processor_.bos_id();
    }
    adds_bos_ =
        flag_member_or(config, "add_bos_token", bos_.has_value(), files.what(kTokenizerConfig));
    if (adds_bos_ && !bos_) no_bos(files.what(kTokenizerConfig), special_token(files, "bos_token"));
    // Llama's first tokenizer puts a space in front of every stretch between special tokens, the
    // later one only at the start of the text.
    space_after_tokens_ = flag_member_or(config, "legacy", true, files.what(kTokenizerConfig));
  }

  Encoding encoding(std::string_view text) const override {
    check_utf8(text, "the text to tokenize");
    Encoding encoding;
    added_.cut(
        text,
        [&](std::size_t begin, std::size_t end) {
          if (begin > 0 && !space_after_tokens_) {
            throw Error(ErrorKind::kUnsupported,
                        what_ +
                            ": a text after a special token is not supported with legacy: false "
                            "in tokenizer_config.json; supported: such a text with a "
                            "tokenizer.json");
          }
          stretch(text.substr(begin, end - begin), begin, encoding);
        },
        [&](std::int32_t id, std::size_t, std::size_t end) { encoding.add(id, end); });
    return encoding;
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    for (const std::int32_t id : ids) {
      if (id < 0 || (id >= processor_.GetPieceSize() && !added_ids_.contains(id))) {
        throw Error(ErrorKind::kData, fmt::format("{}: no piece has the id {}", what_, id));
      }
    }
    std::vector<int> pieces;
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(pieces),
                 [&](std::int32_t id) { return !added_ids_.contains(id); });
    std::string text;
    const auto status = processor_.Decode(pieces, &text);
    if (!status.ok()) {
      throw Error(ErrorKind::kData, fmt::format("{}: {}", what_, status.ToString()));
    }
    return text;
  }

  std::int64_t vocabulary_size() const override { return size_; }
  std::optional<std::int32_t> bos() const override { return bos_; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  // Pieces and added tokens. The model's own control tokens are sought in a text too.
  void add_tokens(const TokenizerFiles& files) {
    TokenIds ids;
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      ids.add_piece(processor_.IdToPiece(id), id, what_);
    }
    std::map<std::string, std::string> own;
    for (const auto& [role, id] : {std::pair{"unk_token", processor_.unk_id()},
                                   std::pair{"bos_token", processor_.bos_id()},
                                   std::pair{"eos_token", processor_.eos_id()}}) {
      if (id >= 0) {
        own.emplace(role, processor_.IdToPiece(id));
      }
    }
    ids.add_files(files, own);
    size_ = processor_.GetPieceSize();
    for (const AddedToken& token : ids.tokens()) {
      added_ids_.insert(token.id);
      size_ = std::max<std::int64_t>(size_, token.id + 1);
    }
    added_ = AddedTokenFinder(ids.tokens());
  }

  void stretch(std::string_view text, std::size_t begin, Encoding& encoding) const {
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(ErrorKind::kData, what_ + ": a text of more than 4 GiB");
    }
    sentencepiece::ImmutableSentencePieceText pieces;
    const auto status = processor_.Encode({text.data(), text.size()}, pieces.mutable_proto());
    if (!status.ok()) {
      throw Error(ErrorKind::kData, fmt::format("{}: {}", what_, status.ToString()));
    }
    for (std::size_t i = 0; i < pieces.pieces_size(); ++i) {
      const auto piece = pieces.pieces(static_cast<int>(i));
      encoding.add(static_cast<std::int32_t>(piece.id()), begin + piece.end());
    }
  }

  std::string what_;
  sentencepiece::SentencePieceProcessor processor_;
  AddedTokenFinder added_;
  std::unordered_set<std::int32_t> added_ids_;
  std::int64_t size_ = 0;
  bool space_after_tokens_ = true;
  std::optional<std::int32_t> bos_;
  bool adds_bos_ = false;
};

}  // namespace

std::unique_ptr<const Tokenizer> open_sentencepiece(const TokenizerFiles& files,
                                                    const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(files, name);
}

}  // namespace assay::datasets
