#include "datasets/sampling.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "datasets/memory_images.h"
#include "datasets/python_random.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

std::vector<std::int64_t> draws(std::int64_t seed, std::int64_t b) {
  PythonRandom random(seed);
  std::vector<std::int64_t> values;
  for (int i = 0; i < 6; ++i) {
    values.push_back(random.randint(0, b));
  }
  return values;
}

TEST(PythonRandom, gives_the_words_of_seed_0) {
  PythonRandom random(0);
  for (const std::uint32_t word : {3626764237u, 1654615998u, 3255389356u, 3823568514u}) {
    EXPECT_EQ(random.next32(), word);
  }
}

TEST(PythonRandom, gives_the_numbers_that_published_codes_draw) {
  using Values = std::vector<std::int64_t>;
  EXPECT_EQ(draws(0, 99), (Values{49, 97, 53, 5, 33, 65}));
  EXPECT_EQ(draws(0, 285595), (Values{201979, 220500, 21225, 135746, 268055, 254766}));
  EXPECT_EQ(draws(1, 99), (Values{17, 72, 97, 8, 32, 15}));
  EXPECT_EQ(draws(42, 99), (Values{81, 14, 3, 94, 35, 31}));
  EXPECT_EQ(draws(-42, 99), draws(42, 99));  // the sign is dropped
  EXPECT_NE(draws(42 + (std::int64_t{1} << 32), 99), draws(42, 99));
}

TEST(PythonRandom, an_empty_range_is_an_error) {
  expect_error(ErrorKind::kConfig, "randint(3, 2)", [] { PythonRandom(0).randint(3, 2); });
}

TokenSet numbered(const std::vector<std::int64_t>& lengths) {
  TokenSet tokens;
  tokens.starts.push_back(0);
  for (const std::int64_t length : lengths) {
    tokens.starts.push_back(tokens.starts.back() + length);
  }
  tokens.ids = at::arange(tokens.size(), at::kInt);
  tokens.bytes = tokens.words = at::ones_like(tokens.ids);
  return tokens;
}

TEST(CalibrationWindows, begin_where_the_generator_says) {
  // T - L - 1 = 99.
  const at::Tensor windows = calibration_windows(numbered({100, 10}), 6, 10, 0);
  EXPECT_EQ(windows.sizes(), (at::IntArrayRef{6, 10}));
  EXPECT_TRUE(at::equal(windows.select(1, 0), at::tensor({49, 97, 53, 5, 33, 65}, at::kInt)));
  EXPECT_EQ(windows[0][9].item<int>(), 58);
}

TEST(CalibrationWindows, a_text_of_exactly_one_window_is_that_window) {
  EXPECT_TRUE(at::equal(calibration_windows(numbered({8}), 2, 8, 0)[1], at::arange(8, at::kInt)));
}

TEST(CalibrationWindows, too_few_tokens_are_an_error_that_names_both_counts) {
  expect_error(ErrorKind::kConfig, "has 5 tokens",
               [] { calibration_windows(numbered({5}), 1, 8, 0); });
}

TEST(CalibrationWindows, another_seed_gives_others) {
  const TokenSet tokens = numbered({1000});
  const at::Tensor windows = calibration_windows(tokens, 8, 10, 3);
  EXPECT_TRUE(at::equal(windows, calibration_windows(tokens, 8, 10, 3)));
  EXPECT_FALSE(at::equal(windows, calibration_windows(tokens, 8, 10, 4)));
}

TEST(SampledImages, are_distinct_and_gathered_in_the_order_drawn) {
  const auto indices = sampled_indices(100, 20, 5);
  EXPECT_EQ(std::set<std::int64_t>(indices.begin(), indices.end()).size(), 20u);
  const at::Tensor pixels = at::arange(100).view({100, 1, 1, 1}).to(at::kByte);
  const auto set = memory_images(pixels, at::zeros({100}, at::kLong), 1, "test");
  const ImageBatch batch = gather(*set, indices);
  EXPECT_TRUE(at::equal(batch.images.flatten().to(at::kLong), at::tensor(indices, at::kLong)));
  expect_error(ErrorKind::kConfig, "legal: 1 to 100", [] { sampled_indices(100, 101, 0); });
}

using TokenSetTest = FolderTest;

TEST_F(TokenSetTest, is_read_back_as_written) {
  TokenSet tokens = tokenize(*byte_tokenizer(), {"two words", "h\xc3\xa9"});
  tokens.bos = 5;
  write_tokens(folder_ / "t.safetensors", tokens);
  const TokenSet read = read_tokens(folder_ / "t.safetensors");
  EXPECT_TRUE(at::equal(read.ids, tokens.ids));
  EXPECT_EQ(read.starts, (std::vector<std::int64_t>{0, 9, 12}));
  EXPECT_TRUE(at::equal(read.words, at::tensor({1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0}, at::kInt)));
  EXPECT_TRUE(at::equal(read.bytes, at::ones({12}, at::kInt)));
  EXPECT_EQ(read.bos, 5);
  EXPECT_FALSE(read.adds_bos);
}

// Puts id 7 in front; the text's own "~" is that id too.
class Marking : public Tokenizer {
 public:
  Encoding encoding(std::string_view text) const override {
    Encoding result;
    for (std::size_t i = 0; i < text.size(); ++i) {
      result.add(text[i] == '~' ? 7 : text[i], i + 1);
    }
    return result;
  }
  std::string decode(std::span<const std::int32_t>) const override { return ""; }
  std::int64_t vocabulary_size() const override { return 256; }
  std::optional<std::int32_t> bos() const override { return 7; }
  bool adds_bos() const override { return true; }
};

TEST_F(TokenSetTest, an_added_beginning_counts_nothing_and_can_be_taken_off) {
  const TokenSet whole = tokenize(Marking(), {"ab", "~c", ""});
  EXPECT_TRUE(at::equal(whole.ids, at::tensor({7, 'a' + 0, 'b' + 0, 7, 'c' + 0, 7}, at::kInt)));
  EXPECT_TRUE(at::equal(whole.bytes, at::tensor({0, 1, 1, 1, 1, 0}, at::kInt)));
  EXPECT_TRUE(at::equal(whole.words, at::tensor({0, 1, 0, 1, 0, 0}, at::kInt)));
  write_tokens(folder_ / "t.safetensors", whole);
  const TokenSet text = without_added_beginnings(read_tokens(folder_ / "t.safetensors"));
  EXPECT_TRUE(at::equal(text.ids, at::tensor({'a' + 0, 'b' + 0, 7, 'c' + 0}, at::kInt)));
  EXPECT_EQ(text.starts, (std::vector<std::int64_t>{0, 2, 4, 4}));
  EXPECT_TRUE(at::equal(text.bytes, at::ones({4}, at::kInt)));
}

}  // namespace
}  // namespace assay::datasets
