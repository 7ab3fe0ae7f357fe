#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include "datasets/tokenizer_fields.h"
#include "datasets/tokenizer_files.h"
#include "datasets/utf8.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

class SentencePieceTokenizer : public Tokenizer {
 public:
  SentencePieceTokenizer(const InputFile& file, const Json& config)
      : what_(file.path.string()) {
    const auto status = processor_.LoadFromSerializedProto(read_input(file, kMaxFileBytes));
    if (!status.ok()) {
      throw Error(ErrorKind::kData,
                  fmt::format("{}: not a SentencePiece model: {}", what_, status.ToString()),
                  {{"file", what_}});
    }
    if (flag_field(config, "add_eos_token", false, "tokenizer_config.json")) {
      throw Error(ErrorKind::kUnsupported, "tokenizer_config.json: add_eos_token is not offered");
    }
    if (processor_.bos_id() >= 0) {
      bos_ = processor_.bos_id();
    }
    adds_bos_ = flag_field(config, "add_bos_token", true, "tokenizer_config.json") && bos_;
  }

  std::vector<std::int32_t> encode(std::string_view text) const override {
    check_utf8(text, "the text to tokenize");
    std::vector<int> ids;
    const auto status = processor_.Encode({text.data(), text.size()}, &ids);
    if (!status.ok()) {
      throw Error(ErrorKind::kData, fmt::format("{}: {}", what_, status.ToString()));
    }
    return {ids.begin(), ids.end()};
  }

  std::string decode(std::span<const std::int32_t> ids) const override {
    for (const std::int32_t id : ids) {
      if (id < 0 || id >= vocabulary_size()) {
        throw Error(ErrorKind::kData, fmt::format("{}: no piece has the id {}", what_, id));
      }
    }
    std::string text;
    const auto status = processor_.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
    if (!status.ok()) {
      throw Error(ErrorKind::kData, fmt::format("{}: {}", what_, status.ToString()));
    }
    return text;
  }

  std::int64_t vocabulary_size() const override { return processor_.GetPieceSize(); }
  std::optional<std::int32_t> bos() const override { return bos_; }
  bool adds_bos() const override { return adds_bos_; }

 private:
  std::string what_;
  sentencepiece::SentencePieceProcessor processor_;
  std::optional<std::int32_t> bos_;
  bool adds_bos_ = false;
};

}  // namespace

std::unique_ptr<const Tokenizer> open_sentencepiece(const InputFile& file,
                                                    const Json& config) {
  return std::make_unique<SentencePieceTokenizer>(file, config);
}

}  // namespace assay::datasets
