#include "datasets/tokenizer.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "datasets/bpe.h"
#include "datasets/byte_level.h"
#include "harness/base/utf8.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

using Ids = std::vector<std::int32_t>;

// A byte-level tokenizer.json with the 256 bytes (ids 0 .. 255) and a few merges.
Json byte_level_json() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[stand_ins_of_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  vocab["ab"] = 256;
  vocab["abc"] = 257;
  vocab["bc"] = 258;
  vocab
      ["\xc4\xa0"
       "a"] = 259;  // " a"
  return {{"added_tokens", Json::array({{{"id", 300}, {"content", "<|end|>"}}})},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor", nullptr},
          {"model",
           {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"a b", "b c", "ab c", "\xc4\xa0 a"}}}}};
}

class TokenizerTest : public FolderTest {
 protected:
  std::unique_ptr<const Tokenizer> open(const Json& json, const Json& config = nullptr) const {
    write("tokenizer.json", json.dump());
    if (!config.is_null()) {
      write("tokenizer_config.json", config.dump());
    }
    return tokenizer_at(folder_);
  }
  void refused(ErrorKind kind, const std::string& piece, const Json& json) const {
    expect_error(kind, piece, [&] { open(json); });
  }
};

TEST_F(TokenizerTest, the_lowest_rank_joins_first) {
  const auto tokenizer = open(byte_level_json());
  EXPECT_EQ(tokenizer->encode("abc"), (Ids{257}));
  EXPECT_EQ(tokenizer->encode("bc"), (Ids{258}));
  EXPECT_EQ(tokenizer->encode("bcbcab"), (Ids{258, 258, 256}));
  EXPECT_EQ(tokenizer->encode("x a"), (Ids{'x', 259}));
  EXPECT_EQ(tokenizer->encode(""), (Ids{}));
  EXPECT_EQ(tokenizer->vocabulary_size(), 301);
}

TEST_F(TokenizerTest, special_tokens_are_split_off_first_and_left_out_by_decode) {
  const auto tokenizer = open(byte_level_json());
  EXPECT_EQ(tokenizer->encode("ab<|end|>c<|end|>"), (Ids{256, 300, 'c', 300}));
  EXPECT_EQ(tokenizer->decode(Ids{256, 300, 'c'}), "abc");
}

TEST_F(TokenizerTest, decode_gives_back_any_utf_8) {
  const auto tokenizer = open(byte_level_json());
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (int i = 0; i < 20; ++i) {
      const auto point = static_cast<char32_t>(random() % (i % 2 == 0 ? 0x180 : 0x110000));
      append_utf8(text, point >= 0xD800 && point < 0xE000 ? U' ' : point);
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
}

TEST_F(TokenizerTest, the_beginning_of_text_comes_from_template_or_configuration) {
  Json json = byte_level_json();
  EXPECT_EQ(open(json)->encode_text("ab"), (Ids{256}));
  EXPECT_EQ(open(json, {{"bos_token", {{"content", "<|end|>"}}}, {"add_bos_token", true}})
                ->encode_text("ab"),
            (Ids{300, 256}));
  std::filesystem::remove(folder_ / "tokenizer_config.json");
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "<|end|>"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"<|end|>", {{"ids", {300}}}}}}};
  EXPECT_EQ(open(json)->encode_text("ab"), (Ids{300, 256}));
  EXPECT_EQ(open(json)->encode("ab"), (Ids{256}));
}

TEST_F(TokenizerTest, of_equal_merges_the_last_one_counts) {
  Json json = byte_level_json();
  EXPECT_EQ(open(json)->encode("abc"), (Ids{257}));  // "a b", then "ab c"
  json["model"]["merges"].push_back("a b");          // now after "b c"
  EXPECT_EQ(open(json)->encode("abc"), (Ids{'a', 258}));
}

TEST_F(TokenizerTest, byte_fallback_needs_every_byte) {
  Json json = byte_level_json();
  json["pre_tokenizer"] = nullptr;
  json["model"]["byte_fallback"] = true;
  json["model"]["merges"] = Json::array();
  Json& vocab = json["model"]["vocab"] = {{"<unk>", 0}};
  json["added_tokens"] = Json::array();
  json["model"]["unk_token"] = "<unk>";
  for (int byte = 0; byte < 256; ++byte) vocab[fmt::format("<0x{:02X}>", byte)] = byte + 1;
  EXPECT_EQ(open(json)->encode("é"), (Ids{0xC3 + 1, 0xA9 + 1}));
  vocab.erase("<0xC3>");
  expect_error(ErrorKind::kData, "the vocabulary lacks '<0xC3>'", [&] { open(json); });
}

TEST_F(TokenizerTest, a_sequence_of_digits_and_byte_level_is_honoured) {
  Json json = byte_level_json();
  json["model"]["vocab"]["12"] = 260;
  json["model"]["merges"].push_back("1 2");
  EXPECT_EQ(open(json)->encode("12"), (Ids{260}));
  json["pre_tokenizer"] = {{"type", "Sequence"},
                           {"pretokenizers",
                            {{{"type", "Digits"}, {"individual_digits", true}},
                             {{"type", "ByteLevel"}, {"add_prefix_space", false}}}}};
  EXPECT_EQ(open(json)->encode("12"), (Ids{'1', '2'}));
}

TEST_F(TokenizerTest, a_split_by_an_expression_is_honoured) {
  Json json = byte_level_json();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", "a|b"}}},
         {"behavior", "Isolated"},
         {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  EXPECT_EQ(open(json)->encode("abc"), (Ids{'a', 'b', 'c'}));
  json["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed";
  EXPECT_EQ(open(json)->encode("abc"), (Ids{'c'}));
  json["pre_tokenizer"]["pretokenizers"][0]["invert"] = true;
  EXPECT_EQ(open(json)->encode("abc"), (Ids{'a', 'b'}));
}

TEST_F(TokenizerTest, parts_that_are_not_offered_are_refused_by_name) {
  const auto with = [](const std::string& pointer, Json value) {
    Json json = byte_level_json();
    json[Json::json_pointer(pointer)] = std::move(value);
    return json;
  };
  const auto unsupported = [&](const std::string& piece, const Json& json) {
    refused(ErrorKind::kUnsupported, piece, json);
  };
  unsupported("model Unigram", with("/model/type", "Unigram"));
  unsupported("normalizer Lowercase", with("/normalizer", {{"type", "Lowercase"}}));
  unsupported("pre_tokenizer Whitespace", with("/pre_tokenizer", {{"type", "Whitespace"}}));
  unsupported("post_processor BertProcessing",
              with("/post_processor", {{"type", "BertProcessing"}}));
  unsupported(
      "behavior 'MergedWithNext'",
      with("/pre_tokenizer",
           {{"type", "Split"}, {"pattern", {{"String", "a"}}}, {"behavior", "MergedWithNext"}}));
  unsupported("the expression (",
              with("/pre_tokenizer",
                   {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}}));
  unsupported(
      "after ByteLevel",
      with("/pre_tokenizer", {{"type", "Sequence"},
                              {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}}));
  unsupported("dropout", with("/model/dropout", 0.1));
  unsupported("end_of_word_suffix", with("/model/end_of_word_suffix", "</w>"));
  unsupported("single_word", with("/added_tokens/0/single_word", true));
  unsupported("split: false", with("/pre_tokenizer", {{"type", "Metaspace"}, {"split", true}}));
}

TEST_F(TokenizerTest, malformed_files_are_errors_that_name_the_part) {
  const auto with = [](const std::string& pointer, Json value) {
    Json json = byte_level_json();
    json[Json::json_pointer(pointer)] = std::move(value);
    return json;
  };
  const auto malformed = [&](const std::string& piece, const Json& json) {
    refused(ErrorKind::kData, piece, json);
  };
  malformed("'model' is missing in {}", Json::object());
  malformed("'model' must be an object, not 3", with("/model", 3));
  malformed("'vocab' must be an object, not []", with("/model/vocab", Json::array()));
  malformed("'merges' must be a list", with("/model/merges", "a b"));
  malformed("id -1", with("/model/vocab/ab", -1));
  malformed("id 1e+30", with("/model/vocab/ab", 1e30));
  malformed("id 4294967295", with("/model/vocab/ab", 4294967295u));
  malformed("same id 97", with("/model/vocab/ab", 97));
  malformed("merge 0 is no pair", with("/model/merges/0", "ab"));
  malformed("merge 0 is no pair", with("/model/merges/0", {"a", "b", "c"}));
  malformed("not in the vocabulary", with("/model/merges/0", "a q"));
  malformed("added token '<|end|>': id", with("/added_tokens/0/id", "x"));
  malformed("is empty", with("/added_tokens/0/content", ""));
  malformed("pre_tokenizer: 'type' is missing", with("/pre_tokenizer", Json::object()));
  malformed("'add_prefix_space' must be true or false, not 1",
            with("/pre_tokenizer/add_prefix_space", 1));
  write("tokenizer.json", "{\"model\": ");
  expect_error(ErrorKind::kData, "tokenizer.json", [&] { tokenizer_at(folder_); });
  write("tokenizer.json", std::string(10000, '['));
  expect_error(ErrorKind::kData, "tokenizer.json", [&] { tokenizer_at(folder_); });
}

TEST_F(TokenizerTest, a_byte_that_the_vocabulary_lacks_is_an_error_of_the_text_that_holds_it) {
  Json lacking = byte_level_json();
  lacking["model"]["vocab"].erase("a");
  lacking["model"]["merges"] = Json::array();
  const auto tokenizer = open(lacking);
  EXPECT_EQ(tokenizer->encode("b").size(), 1u);
  expect_error(ErrorKind::kData, "lacks byte 0x61", [&] { tokenizer->encode("ba"); });
}

TEST_F(TokenizerTest, text_that_is_not_utf_8_is_an_error) {
  expect_error(ErrorKind::kData, "offset 1", [&] { open(byte_level_json())->encode("a\xff"); });
}

TEST_F(TokenizerTest, vocabulary_and_merges_of_opt_put_its_beginning_in_front) {
  Json vocab = byte_level_json()["model"]["vocab"];
  vocab["</s>"] = 400;
  write("vocab.json", vocab.dump());
  write("merges.txt", "#version: 0.2\r\na b\r\nb c\r\nab c\r\n");
  write("tokenizer_config.json",
        Json({{"bos_token", {{"content", "</s>"}}}, {"add_bos_token", true}}).dump());
  const auto tokenizer = tokenizer_at(folder_);
  EXPECT_EQ(tokenizer->encode_text("abc</s>"), (Ids{400, 257, 400}));
  write("merges.txt", "a b c\n");
  expect_error(ErrorKind::kData, "line 1", [&] { tokenizer_at(folder_); });
}

// The maps were read through references to objects that had ended.
TEST_F(TokenizerTest, special_tokens_of_files_beside_a_vocabulary_are_split_off) {
  Json vocab = byte_level_json()["model"]["vocab"];
  vocab["<|pad|>"] = 400;
  vocab["<|extra|>"] = 401;
  write("vocab.json", vocab.dump());
  write("merges.txt", "a b\n");
  write("special_tokens_map.json", R"({"pad_token": {"content": "<|pad|>"}})");
  write("added_tokens.json", R"({"<|extra|>": 401})");
  EXPECT_EQ(tokenizer_at(folder_)->encode("<|pad|>a<|extra|>"), (Ids{400, 'a', 401}));
}

TEST_F(TokenizerTest, a_folder_without_one_means_bytes_only_with_256_ids) {
  expect_error(ErrorKind::kConfig, "no tokenizer", [&] { tokenizer_at(folder_); });
  write("config.json", R"({"vocab_size": 512})");
  expect_error(ErrorKind::kConfig, "no tokenizer", [&] { tokenizer_at(folder_); });
  write("config.json", R"({"vocab_size": 256})");
  EXPECT_EQ(tokenizer_at(folder_)->encode("a\xc3"), (Ids{'a', 0xC3}));
  write("tokenizer.model", "not a protocol buffer");
  expect_error(ErrorKind::kData, "not a SentencePiece model", [&] { tokenizer_at(folder_); });
}

TEST(Bpe, a_long_piece_of_one_letter_takes_no_quadratic_time) {
  BpeTables tables;
  for (int byte = 0; byte < 256; ++byte) {
    tables.vocabulary.emplace_back(std::string(1, static_cast<char>(byte)), byte);
  }
  std::string left = "a";
  for (std::int32_t id = 256; left.size() < 1024; ++id) {
    tables.merges.emplace_back(left, left);
    left += left;
    tables.vocabulary.emplace_back(left, id);
  }
  const Bpe bpe(tables, "test");
  std::vector<Bpe::Symbol> symbols;
  bpe.encode(std::string(1 << 20, 'a'), symbols);
  EXPECT_EQ(symbols, std::vector<Bpe::Symbol>(1024, {265, 1024}));
}

TEST(ByteLevel, stand_ins_are_a_bijection_of_bytes) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all.push_back(static_cast<char>(byte));
  }
  EXPECT_EQ(bytes_of_stand_ins(stand_ins_of_bytes(all)), all);
  EXPECT_EQ(stand_ins_of_bytes(" "), "\xc4\xa0");
  EXPECT_EQ(bytes_of_stand_ins("\xe4\xb8\xad"), std::nullopt);
}

}  // namespace
}  // namespace assay::datasets
