#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <map>

#include "datasets/austen.h"
#include "datasets/image_set.h"
#include "datasets/reader.h"
#include "datasets/text_set.h"
#include "datasets/token_set.h"
#include "datasets/tokenizer.h"
#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "tests/datasets/files_for_tests.h"

// Figures that were measured with other programs; skipped where the data are absent.

namespace assay::datasets {
namespace {

using Ids = std::vector<std::int32_t>;

#define NEED(path)                                                 \
  do {                                                             \
    if (!std::filesystem::exists(path)) {                          \
      GTEST_SKIP() << (path) << " is not there (ASSAY_TEST_DATA)"; \
    }                                                              \
  } while (false)

std::filesystem::path data(const std::string& name) { return test_data() / "data" / name; }

FileSet files(const std::vector<std::filesystem::path>& paths) {
  std::vector<InputFile> list;
  for (const auto& path : paths) {
    list.push_back(unplanned(path));
  }
  return FileSet(list);
}

std::vector<std::int64_t> class_counts(const at::Tensor& labels) {
  const at::Tensor counts = at::bincount(labels, {}, 10);
  return {counts.data_ptr<std::int64_t>(), counts.data_ptr<std::int64_t>() + counts.numel()};
}

using Counts = std::vector<std::int64_t>;

TEST(Anchor, cifar_files_hold_the_counted_classes) {
  const auto first = data("images/cifar10/cifar10_test_lossless100_eran.bin");
  const auto second = data("images/cifar10/cifar10_test_lossless200_abcrown.bin");
  NEED(first);
  const auto set = open_images({{"reader", "cifar_binary"}}, files({first, second}));
  ASSERT_EQ(set->size(), 300);
  const ImageBatch all = set->read(0, 300);
  EXPECT_EQ(class_counts(all.labels.narrow(0, 0, 100)),
            (Counts{10, 6, 8, 10, 7, 8, 16, 11, 13, 11}));
  EXPECT_EQ(class_counts(all.labels.narrow(0, 100, 200)),
            (Counts{29, 20, 20, 17, 18, 24, 27, 15, 16, 14}));
  EXPECT_EQ(all.labels[0].item<int>(), 3);
  EXPECT_EQ(all.images[0][0][0][0].item<int>(), 0x9e);
  EXPECT_EQ(all.images[0][0][0][2].item<int>(), 0xa5);
}

TEST(Anchor, fashion_mnist_holds_6000_and_1000_of_each_class) {
  ReaderDeclaration reader;
  for (const ReaderDeclaration& declaration : readers()) {
    if (declaration.name == "fashion_mnist") {
      reader = declaration;
    }
  }
  const std::filesystem::path root = reader.roots.at(0);
  NEED(root);
  for (const std::string split : {"train", "test"}) {
    std::vector<InputFile> list;
    for (const ReaderFile& file : reader.files.at(split)) {
      list.push_back(unplanned(root / file.path, file.role));
    }
    const auto set = open_images({{"reader", "fashion_mnist"}}, FileSet(list));
    const std::int64_t each = split == "train" ? 6000 : 1000;
    EXPECT_EQ(set->size(), 10 * each);
    EXPECT_EQ(class_counts(set->read(0, set->size()).labels), Counts(10, each));
    EXPECT_EQ(set->read(0, 1).images.sizes(), (at::IntArrayRef{1, 1, 28, 28}));
    if (split == "test") {
      EXPECT_EQ(class_counts(set->read(0, 1000).labels),
                (Counts{107, 105, 111, 93, 115, 87, 97, 95, 95, 95}));
    }
  }
}

TEST(Anchor, the_six_novels_have_the_counted_bytes) {
  std::filesystem::path file = "/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb";
  if (!std::filesystem::exists(file)) {
    file = ".deps/austen" + file.string();
  }
  NEED(file);
  const auto novels = read_austen(unplanned(file));
  const std::map<std::string, std::size_t> expected = {
      {"emma", 883028},       {"mansfield", 883280}, {"northanger", 433411},
      {"persuasion", 466854}, {"pride", 684768},     {"sense", 673688}};
  std::size_t total = 0;
  ASSERT_EQ(novels.size(), 6u);
  for (const auto& [name, text] : novels) {
    EXPECT_EQ(text.size(), expected.at(name)) << name;
    total += text.size();
  }
  EXPECT_EQ(total, 4025029u);
  const auto documents = open_documents(
      {{"reader", "austen"}, {"split", "test"}, {"parameters", {{"test", {"persuasion"}}}}},
      files({file}));
  EXPECT_EQ(documents.at(0), novels.at("persuasion"));
}

std::string wikitext(const std::string& join) {
  return open_documents({{"reader", "text"}, {"parameters", {{"join", join}}}},
                        files({data("text/wikitext-2-raw/wiki.test.raw")}))
      .at(0);
}

TEST(Anchor, wikitext_2_joined_rows_have_the_published_digest) {
  NEED(data("text/wikitext-2-raw/wiki.test.raw"));
  const std::string text = wikitext("wikitext");
  EXPECT_EQ(text.size(), 1296370u);
  EXPECT_EQ(sha256(text), "696cca6b65a171b0a358a4be6732cdfdf2dd6164a32e20fd70e3c13fc4dfae83");
}

TEST(Anchor, gpt_2_gives_the_counts_of_the_literature) {
  NEED(data("text/gpt2-bpe/encoder.json"));
  const auto tokenizer = tokenizer_at(data("text/gpt2-bpe"));
  EXPECT_EQ(tokenizer->vocabulary_size(), 50257);
  const std::string joined = wikitext("wikitext");
  const auto start = std::chrono::steady_clock::now();
  const Ids ids = tokenizer->encode_text(joined);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  RecordProperty("seconds", std::to_string(took.count()));
  EXPECT_EQ(ids.size(), 287644u);
  EXPECT_EQ(Ids(ids.begin(), ids.begin() + 11),
            (Ids{628, 796, 5199, 347, 2852, 353, 796, 220, 628, 628, 198}));
  EXPECT_EQ(tokenizer->decode(ids), joined);
  const Ids whole = tokenizer->encode_text(wikitext("file"));
  EXPECT_EQ(whole.size(), 286221u);
  EXPECT_EQ(Ids(whole.begin(), whole.begin() + 4), (Ids{220, 198, 796, 5199}));
  EXPECT_EQ(tokenizer->encode(read_file(data("text/tinyshakespeare.txt"))).size(), 338025u);
}

TEST(Anchor, gpt_2_golds) {
  NEED(data("text/gpt2-bpe/encoder.json"));
  const auto tokenizer = tokenizer_at(data("text/gpt2-bpe"));
  EXPECT_EQ(tokenizer->encode("Hello world"), (Ids{15496, 995}));
  EXPECT_EQ(tokenizer->encode("Hello, world!"), (Ids{15496, 11, 995, 0}));
  EXPECT_EQ(tokenizer->encode("  two  spaces"), (Ids{220, 734, 220, 9029}));
  EXPECT_EQ(tokenizer->encode("don't"), (Ids{9099, 470}));
  EXPECT_EQ(tokenizer->encode("3.14"), (Ids{18, 13, 1415}));
  EXPECT_EQ(tokenizer->encode("\xe4\xb8\xad\xe6\x96\x87 na\xc3\xafve"),
            (Ids{40792, 23877, 229, 41492}));
  EXPECT_EQ(tokenizer->encode(" na\xc3\xafve caf\xc3\xa9 123"), (Ids{41492, 40304, 17031}));
  EXPECT_EQ(tokenizer->encode("\n\n = A = \n"), (Ids{628, 796, 317, 796, 220, 198}));
}

// $ASSAY_SMOLLM2: a Hugging Face folder of SmolLM2-135M-Instruct, which is too large for the test
// data.
TEST(Anchor, smollm2_gives_the_recorded_counts) {
  const char* folder = std::getenv("ASSAY_SMOLLM2");
  if (folder == nullptr) {
    GTEST_SKIP()
        << "ASSAY_SMOLLM2 names no folder with the tokenizer.json of SmolLM2-135M-Instruct";
  }
  NEED(data("tokenizers/smollm2_cases.json"));
  const auto tokenizer = tokenizer_at(folder);
  const Json recorded = parse_json(read_file(data("tokenizers/smollm2_cases.json")), "cases");
  for (const Json& each : recorded.at("cases")) {
    const auto text = each.at("text").get<std::string>();
    EXPECT_EQ(tokenizer->encode(text), each.at("ids").get<Ids>()) << text;
  }
  const Ids whole = tokenizer->encode_text(wikitext("file"));
  EXPECT_EQ(whole.size(), 303415u);
  EXPECT_EQ(sha256({reinterpret_cast<const char*>(whole.data()), whole.size() * sizeof(whole[0])}),
            recorded.at("wiki_test_raw").at("sha256_of_int32_le_ids").get<std::string>());
  EXPECT_EQ(tokenizer->encode_text(wikitext("wikitext")).size(), 304978u);
}

TEST(Anchor, stories260k_cases_from_tokenizer_json) {
  const auto folder = data("weights/stories260K");
  NEED(folder);
  const auto tokenizer = tokenizer_at(folder);
  EXPECT_EQ(tokenizer->vocabulary_size(), 512);
  const Json cases = parse_json(read_file(folder / "tokenizer_cases.json"), "cases");
  ASSERT_FALSE(cases.at("cases").empty());
  for (const Json& one : cases.at("cases")) {
    const auto text = one.at("text").get<std::string>();
    const Ids ids = tokenizer->encode_text(text);
    EXPECT_EQ(ids, one.at("ids").get<Ids>()) << text;
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

TEST(Anchor, stories260k_cases_from_the_sentencepiece_model) {
  const auto folder = data("weights/stories260K");
  NEED(folder);
  const auto tokenizer = tokenizer_at(folder / "tok512.model");
  EXPECT_EQ(tokenizer->encode("Once upon a time"), (Ids{403, 407, 261, 378}));
  EXPECT_EQ(tokenizer->encode("Lily's 3 red balls."),
            (Ids{317, 439, 419, 410, 472, 352, 266, 268, 388, 419, 426}));
  const Json cases = parse_json(read_file(folder / "tokenizer_cases.json"), "cases");
  for (const Json& one : cases.at("cases")) {
    const auto text = one.at("text").get<std::string>();
    // This model's own normalizer drops superfluous spaces, which the tokenizer.json keeps.
    if (text.find("  ") == std::string::npos) {
      EXPECT_EQ(tokenizer->encode_text(text), one.at("ids").get<Ids>()) << text;
    }
  }
}

TEST(Anchor, the_five_stories_have_the_counted_tokens) {
  const auto file = data("text/tinystories/tinystories_sample_cs336.txt");
  NEED(file);
  const auto documents = open_documents(
      {{"reader", "text"},
       {"parameters", {{"separator", "<|endoftext|>"}, {"strip", true}, {"max_characters", 1200}}}},
      files({file}));
  const TokenSet tokens = tokenize(*tokenizer_at(data("weights/stories260K")), documents);
  std::vector<std::int64_t> predictions;
  for (std::size_t d = 0; d + 1 < tokens.starts.size(); ++d) {
    predictions.push_back(tokens.starts[d + 1] - tokens.starts[d] - 1);
  }
  EXPECT_EQ(predictions, (Counts{373, 329, 222, 424, 456}));
}

}  // namespace
}  // namespace assay::datasets
