#include <gtest/gtest.h>
#include <sentencepiece_trainer.h>

#include "datasets/byte_level.h"
#include "datasets/tokenizer.h"
#include "harness/base/atomic_file.h"
#include "tests/datasets/files_for_tests.h"

// One tokenizer in the forms in which folders hold it, with added and special tokens.

namespace assay::datasets {
namespace {

using Ids = std::vector<std::int32_t>;

class TokenizerForms : public FolderTest {
 protected:
  // The 256 bytes and two merges.
  static Json vocabulary() {
    Json vocab = Json::object();
    for (int byte = 0; byte < 256; ++byte) {
      vocab[stand_ins_of_bytes(std::string(1, static_cast<char>(byte)))] = byte;
    }
    vocab["ab"] = 256;
    vocab["abc"] = 257;
    return vocab;
  }
  void write_json(const std::string& name, const Json& json) const { write(name, json.dump()); }
  void write_tokenizer_json(const Json& added = Json::array()) const {
    write_json("tokenizer.json",
               {{"added_tokens", added},
                {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
                {"model",
                 {{"type", "BPE"}, {"vocab", vocabulary()}, {"merges", {"a b", "ab c"}}}}});
  }
  void write_vocabulary() const {
    write_json("vocab.json", vocabulary());
    write("merges.txt", "#version: 0.2\na b\nab c\n");
  }
  Ids ids(const std::string& text) const { return tokenizer_at(folder_)->encode(text); }
  void refused(ErrorKind kind, const std::vector<std::string>& pieces) const {
    for (const std::string& piece : pieces) {
      expect_error(kind, piece, [&] { tokenizer_at(folder_); });
    }
  }

  const Json decoder_ = {{"300", {{"content", "<|a|>"}, {"special", true}}},
                         {"301", {{"content", "<|b|>"}, {"lstrip", true}, {"rstrip", true}}}};
  const std::string text_ = "abc<|a|>ab \n<|b|>\xe2\x80\x89 abc";
  const Ids expected_ = {257, 300, 256, 301, 257};
};

// Added tokens of the files beside a vocabulary were spelt out in pieces.
TEST_F(TokenizerForms, added_tokens_are_those_of_every_file) {
  write_tokenizer_json();
  write_json("tokenizer_config.json", {{"added_tokens_decoder", decoder_}});
  EXPECT_EQ(ids(text_), expected_);
  EXPECT_EQ(tokenizer_at(folder_)->vocabulary_size(), 302);

  std::filesystem::remove(folder_ / "tokenizer.json");
  write_vocabulary();
  EXPECT_EQ(ids(text_), expected_);
  write_json("added_tokens.json", {{"<|a|>", 300}, {"<|b|>", 301}});
  EXPECT_EQ(ids(text_), expected_);
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  EXPECT_EQ(ids("abc<|a|>ab<|b|>abc"), expected_);

  write_tokenizer_json({{{"id", 300}, {"content", "<|a|>"}}});
  EXPECT_EQ(ids("abc<|a|>ab<|b|>abc"), expected_);
}

TEST_F(TokenizerForms, ids_that_two_files_contradict_are_refused_naming_both) {
  write_vocabulary();
  write_json("tokenizer_config.json", {{"added_tokens_decoder", decoder_}});
  write_json("added_tokens.json", {{"<|a|>", 301}});
  refused(ErrorKind::kData, {"tokenizer_config.json and", "added_tokens.json contradict each other",
                             "'<|a|>' has the id 300 in the one place, 301 in the other"});
  write_json("added_tokens.json", {{"<|c|>", 300}});
  refused(ErrorKind::kData, {"id 300 is '<|a|>' in the one place, '<|c|>' in the other"});
  write_json("added_tokens.json", {{"<|c|>", 256}});
  refused(ErrorKind::kData, {"vocab.json and", "id 256 is 'ab' in the one place, '<|c|>' in the other"});
  std::filesystem::remove(folder_ / "added_tokens.json");
  write_tokenizer_json({{{"id", 302}, {"content", "<|a|>"}}});
  refused(ErrorKind::kData, {"tokenizer.json and", "302 in the one place, 300 in the other"});
  write_tokenizer_json();
  Json vocab = vocabulary();
  std::swap(vocab["ab"], vocab["abc"]);
  write_json("vocab.json", vocab);
  refused(ErrorKind::kData, {"tokenizer.json and", "'ab' has the id 256 in the one place, 257"});
}

TEST_F(TokenizerForms, malformed_definitions_are_errors_that_name_the_file) {
  write_vocabulary();
  const auto config = [&](const Json& json, const std::string& piece) {
    write_json("tokenizer_config.json", json);
    refused(ErrorKind::kData, {piece});
  };
  config({{"added_tokens_decoder", {{"x", {{"content", "a"}}}}}}, "added_tokens_decoder: id \"x\"");
  config({{"added_tokens_decoder", {{"-1", {{"content", "a"}}}}}}, "id \"-1\"");
  config({{"added_tokens_decoder", {{"300", {{"content", 3}}}}}},
         "'content' must be a text, not 3");
  config({{"added_tokens_decoder", {{"300", {{"content", ""}}}}}}, "added token 300 is empty");
  config({{"added_tokens_decoder", Json::array({1})}}, "added_tokens_decoder is not an object");
  config({{"added_tokens_decoder", {{"300", {{"content", "a"}, {"lstrip", 1}}}}}},
         "'lstrip' must be true or false");
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  write_json("added_tokens.json", {{"a", "b"}});
  refused(ErrorKind::kData, {"added_tokens.json: 'a'"});
  write_json("added_tokens.json", Json::array({"b"}));
  refused(ErrorKind::kData, {"added_tokens.json: not an object"});
}

TEST_F(TokenizerForms, a_special_token_without_an_id_is_refused_in_a_text_only) {
  write_vocabulary();
  write_json("special_tokens_map.json", {{"pad_token", "<pad>"}});
  EXPECT_EQ(ids("ab"), (Ids{256}));
  expect_error(ErrorKind::kData, "the text holds '<pad>', which ", [&] { ids("ab<pad>"); });
}

// GPT-2's files name no special token; its tokenizer knows one all the same.
TEST_F(TokenizerForms, the_class_has_its_own_special_tokens) {
  Json vocab = vocabulary();
  vocab["<|endoftext|>"] = 258;
  write_json("vocab.json", vocab);
  write("merges.txt", "a b\n");
  EXPECT_EQ(ids("ab<|endoftext|>"), (Ids{256, 258}));
  EXPECT_EQ(tokenizer_at(folder_)->bos(), 258);
  write_json("tokenizer_config.json", {{"bos_token", nullptr}});
  EXPECT_EQ(tokenizer_at(folder_)->bos(), std::nullopt);
}

TEST_F(TokenizerForms, classes_that_do_more_than_their_files_say_are_refused) {
  write_vocabulary();
  write_json("tokenizer_config.json", {{"tokenizer_class", "RobertaTokenizer"}});
  refused(ErrorKind::kUnsupported, {"tokenizer_class \"RobertaTokenizer\" is not supported"});
  // Qwen2's normalizes and cuts digits one by one.
  write_json("tokenizer_config.json", {{"tokenizer_class", "Qwen2Tokenizer"}});
  EXPECT_EQ(ids("e\xcc\x81"), (Ids{0xC3, 0xA9}));
  write_tokenizer_json();
  write_json("tokenizer_config.json", {{"tokenizer_class", "RobertaTokenizer"}});
  EXPECT_EQ(ids("ab"), (Ids{256}));
  write_json("tokenizer_config.json", {{"add_prefix_space", true}});
  refused(ErrorKind::kData, {"add_prefix_space is false in the one, true in the other"});
}

TEST_F(TokenizerForms, normalized_added_tokens_are_sought_in_the_normalized_text) {
  write_tokenizer_json();
  Json json = parse_json(read_file(folder_ / "tokenizer.json"), "test");
  json["normalizer"] = {{"type", "NFC"}};
  json["added_tokens"] = {{{"id", 300}, {"content", "\xc3\xa9!"}, {"normalized", true}},
                          {{"id", 301}, {"content", "e\xcc\x81<"}, {"normalized", false}}};
  write_json("tokenizer.json", json);
  const Encoding encoding = tokenizer_at(folder_)->encoding("e\xcc\x81! e\xcc\x81<");
  EXPECT_EQ(encoding.ids, (Ids{300, ' ', 301}));
  EXPECT_EQ(encoding.ends, (std::vector<std::size_t>{4, 5, 9}));
}

TEST_F(TokenizerForms, ids_stand_for_the_bytes_of_the_text_one_after_the_other) {
  write_tokenizer_json();
  write_json("tokenizer_config.json", {{"added_tokens_decoder", decoder_}});
  const Encoding encoding = tokenizer_at(folder_)->encoding(text_);
  EXPECT_EQ(encoding.ends, (std::vector<std::size_t>{3, 8, 10, 21, 24}));
}

class Sentences : public sentencepiece::SentenceIterator {
 public:
  Sentences() { Next(); }
  bool done() const override { return number_ > 200; }
  void Next() override {
    text_ = "the cat sat on the mat number " + std::to_string(++number_ * 37 % 100);
  }
  const std::string& value() const override { return text_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  int number_ = 0;
  std::string text_;
};

class SentencePieceForms : public TokenizerForms {
 protected:
  SentencePieceForms() {
    Sentences sentences;
    std::string model;
    const auto status = sentencepiece::SentencePieceTrainer::Train(
        std::unordered_map<std::string, std::string>{{"model_type", "bpe"},
                                                     {"vocab_size", "320"},
                                                     {"byte_fallback", "true"},
                                                     {"character_coverage", "1.0"},
                                                     {"hard_vocab_limit", "false"},
                                                     {"minloglevel", "2"}},
        &sentences, &model);
    EXPECT_TRUE(status.ok()) << status.ToString();
    write("tokenizer.model", model);
  }
  static constexpr std::int32_t kUnknown = 0, kBegin = 1, kEnd = 2;
};

// Control tokens and added tokens in a text were spelt out in characters.
TEST_F(SentencePieceForms, special_and_added_tokens_are_found) {
  const auto plain = tokenizer_at(folder_);
  const auto size = static_cast<std::int32_t>(plain->vocabulary_size());
  const Ids cat = plain->encode("the cat");
  const auto count = static_cast<std::ptrdiff_t>(cat.size());
  write_json("added_tokens.json", {{"<pad>", size}});
  const auto tokenizer = tokenizer_at(folder_);
  EXPECT_EQ(tokenizer->vocabulary_size(), size + 1);
  const Encoding encoding = tokenizer->encoding("the cat</s><pad>the cat<unk><s>");
  ASSERT_EQ(encoding.ids.size(), 2 * cat.size() + 4);
  EXPECT_EQ(Ids(encoding.ids.begin(), encoding.ids.begin() + count), cat);
  EXPECT_EQ(encoding.ids[cat.size()], kEnd);
  EXPECT_EQ(encoding.ids[cat.size() + 1], size);
  EXPECT_EQ(Ids(encoding.ids.end() - 2, encoding.ids.end()), (Ids{kUnknown, kBegin}));
  EXPECT_EQ(encoding.ends[cat.size() - 1], 7u);
  EXPECT_EQ(encoding.ends[cat.size()], 11u);
  EXPECT_EQ(encoding.ends.back(), 31u);
  EXPECT_EQ(tokenizer->encode_text("the cat").front(), kBegin);
  EXPECT_EQ(tokenizer->encode_text("<s>the cat").size(), cat.size() + 1);
}

TEST_F(SentencePieceForms, bytes_of_characters_without_a_piece_are_counted_once) {
  const Encoding encoding = tokenizer_at(folder_)->encoding("a\xe4\xb8\xad" "b");
  EXPECT_EQ(encoding.ends.back(), 5u);
  for (std::size_t i = 1; i < encoding.ends.size(); ++i) {
    EXPECT_LE(encoding.ends[i - 1], encoding.ends[i]);
  }
}

TEST_F(SentencePieceForms, contradictions_and_other_classes_are_refused) {
  write_json("added_tokens.json", {{"<pad>", 1}});
  refused(ErrorKind::kData, {"tokenizer.model and", "id 1 is '<s>' in the one place, '<pad>'"});
  std::filesystem::remove(folder_ / "added_tokens.json");
  write_json("tokenizer_config.json", {{"tokenizer_class", "XLMRobertaTokenizer"}});
  refused(ErrorKind::kUnsupported, {"XLMRobertaTokenizer"});
  write_json("tokenizer_config.json", {{"add_prefix_space", false}});
  refused(ErrorKind::kUnsupported, {"add_prefix_space: false"});
  write_json("tokenizer_config.json", {{"legacy", false}});
  EXPECT_FALSE(ids("the cat").empty());
  EXPECT_EQ(ids("</s>"), (Ids{kEnd}));
  expect_error(ErrorKind::kUnsupported, "legacy: false", [&] { ids("the</s>cat"); });
}

}  // namespace
}  // namespace assay::datasets
