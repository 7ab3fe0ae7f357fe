#include "harness/evaluate/language.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "harness/base/error.h"
#include "tests/harness/evaluate/small_language.h"
#include "tests/harness/evaluate/toy_networks.h"
#include "tests/support/refusal.h"

namespace assay::evaluate {
namespace {

using assay::testing::refusal;

LanguageRecords score(const models::Network& network, models::Tap& tap,
                      const datasets::TokenSet& tokens, const WindowProtocol& protocol,
                      std::int64_t chunk, std::int64_t shards) {
  const WindowedText text = cut_windows(tokens, protocol);
  const auto count = static_cast<std::int64_t>(text.windows.size());
  std::vector<at::Tensor> nll, scored, words, bytes;
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const LanguageRecords part = score_windows(network, tap, text, {count, chunk, shard, shards});
    nll.push_back(part.window_nll);
    scored.push_back(part.window_tokens);
    words.push_back(part.window_words);
    bytes.push_back(part.window_bytes);
  }
  return {at::cat(nll), at::cat(scored), at::cat(words), at::cat(bytes)};
}

LanguageRecords score(const models::Network& network, const datasets::TokenSet& tokens,
                      const WindowProtocol& protocol, std::int64_t chunk, std::int64_t shards) {
  models::Untapped tap;
  return score(network, tap, tokens, protocol, chunk, shards);
}

TEST(Perplexity, of_uniform_logits_is_the_vocabulary_size) {
  const ToyNetwork network = uniform_language(50);
  for (const char* text : {"stream", "documents"}) {
    const LanguageMetrics metrics =
        summarise(score(network, tokens_of({100, 33}, 50), {.context = 16, .text = text}, 4, 1));
    EXPECT_NEAR(metrics.perplexity, 50, 50 * 1e-6);  // float32 logits
    EXPECT_NEAR(metrics.nll, std::log(50.0), 1e-6);
  }
  const at::Tensor zeros = at::zeros({9, 50}, at::kDouble);
  EXPECT_NEAR(nll_sum(zeros, at::arange(9)), 9 * std::log(50.0), 1e-12);
}

TEST(NllSum, of_half_precision_logits_is_that_of_their_values) {
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf}) {
    const at::Tensor logits =
        at::arange(64 * 50, at::kDouble).mul(0.37).sin().mul(9).reshape({64, 50}).to(type);
    const at::Tensor targets = at::arange(64).remainder(50);
    double exact = 0;  // a plain loop in float64
    const at::Tensor wide = logits.to(at::kDouble).contiguous();
    for (std::int64_t row = 0; row < 64; ++row) {
      const double* x = wide.const_data_ptr<double>() + row * 50;
      double sum = 0;
      for (int k = 0; k < 50; ++k) sum += std::exp(x[k]);
      exact += std::log(sum) - x[row % 50];
    }
    // The log-softmax of a row is float32; their sum is float64.
    EXPECT_NEAR(nll_sum(logits, targets), exact, 64 * 1e-6);
  }
}

TEST(Perplexity, token_word_and_byte_forms_convert_into_each_other) {
  const LanguageRecords records = {
      at::tensor({3.5, 1.25}, at::kDouble), at::tensor({7, 7}, at::kLong),
      at::tensor({2, 1}, at::kLong), at::tensor({11, 9}, at::kLong)};
  const LanguageMetrics metrics = summarise(records);
  const double total = 4.75;
  EXPECT_EQ(metrics.tokens, 14);
  EXPECT_NEAR(metrics.nll, total / 14, 1e-12);
  EXPECT_NEAR(std::log(metrics.perplexity) * 14, total, 1e-12);
  EXPECT_NEAR(std::log(metrics.word_perplexity) * 3, total, 1e-12);
  EXPECT_NEAR(std::log(metrics.byte_perplexity) * 20, total, 1e-12);
  EXPECT_NEAR(metrics.bits_per_byte * 20 * std::log(2.0), total, 1e-12);
}

TEST(Perplexity, windows_of_unequal_length_are_weighted_by_their_tokens) {
  const LanguageRecords records = {
      at::tensor({4.0, 1.0}, at::kDouble), at::tensor({4, 2}, at::kLong),
      at::tensor({1, 1}, at::kLong), at::tensor({1, 1}, at::kLong)};
  EXPECT_NEAR(summarise(records).nll, 5.0 / 6, 1e-12);
  EXPECT_THROW(
      summarise(LanguageRecords{at::empty({0}, at::kDouble), at::empty({0}, at::kLong), {}, {}}),
      Error);
}

TEST(Perplexity, any_number_of_shards_gives_the_same_bytes) {
  const auto network = small_llama();
  for (const char* text : {"stream", "documents"}) {
    const WindowProtocol protocol{.context = 16, .text = text};
    const auto tokens = tokens_of({150, 61, 9}, 64);
    const LanguageRecords whole = score(*network, tokens, protocol, 4, 1);
    for (const std::int64_t shards : {2, 3, 8}) {
      const LanguageRecords parts = score(*network, tokens, protocol, 4, shards);
      EXPECT_TRUE(at::equal(parts.window_nll, whole.window_nll)) << text << shards;
      EXPECT_TRUE(at::equal(parts.window_tokens, whole.window_tokens));
      EXPECT_TRUE(at::equal(parts.window_words, whole.window_words));
    }
    // Another chunk size may give other bits, but not another figure.
    const LanguageRecords other = score(*network, tokens, protocol, 3, 1);
    EXPECT_TRUE(at::allclose(other.window_nll, whole.window_nll, 1e-5));
  }
}

TEST(Perplexity, what_does_not_fit_the_network_is_an_error) {
  const auto tokens = tokens_of({100}, 50);
  EXPECT_THROW(score(uniform_language(40), tokens, {.context = 16}, 4, 1), Error);
  EXPECT_THROW(score(uniform_language(50, 8), tokens, {.context = 16}, 4, 1), Error);
}

TEST(Perplexity, a_likelihood_that_is_not_finite_names_the_window) {
  models::NetworkInfo info = uniform_language(50).info();
  const ToyNetwork network(info, [](const at::Tensor& ids) {
    at::Tensor logits = at::zeros({ids.size(0), ids.size(1), 50});
    logits[1].fill_(std::numeric_limits<float>::quiet_NaN());
    return logits;
  });
  EXPECT_THAT(refusal([&] { score(network, tokens_of({100}, 50), {.context = 10}, 4, 1); }),
              ::testing::HasSubstr("method: the network's likelihood of window 1"));
}

// A token is a byte here, with and without a beginning of text: the two perplexities are one.
TEST(Perplexity, of_a_byte_is_that_of_a_token_at_every_context_stride_and_beginning) {
  const auto network = small_llama();
  for (const bool adds : {false, true}) {
    datasets::TokenSet tokens = tokens_of({150, 61, 9}, 64);
    tokens.bytes = at::ones_like(tokens.ids);
    if (adds) {
      tokens.adds_bos = true;
      for (const std::int64_t start : {0, 150, 211}) {
        tokens.ids[start] = 1;
        tokens.bytes[start] = 0;
      }
    }
    for (const std::int64_t context : {8, 16, 31}) {
      for (const std::int64_t stride : {0, 3, 7}) {
        for (const std::string& bos : bos_rules()) {
          for (const char* over : {"stream", "documents"}) {
            if (stride > 0 && over == std::string("documents")) continue;
            const LanguageMetrics metrics = summarise(score(
                *network, tokens,
                {.context = context, .stride = stride, .bos = bos, .text = over}, 4, 2));
            EXPECT_NEAR(metrics.byte_perplexity / metrics.perplexity, 1, 1e-12);
            EXPECT_NEAR(metrics.bits_per_byte, metrics.nll / std::log(2.0), 1e-12);
          }
        }
      }
    }
  }
}

// Takes the range of each row of a batch, as a quantizer of activations does.
class Ranging : public models::Tap {
 public:
  at::Tensor operator()(std::string_view, const at::Tensor& value) override {
    return value / value.abs().amax({1, 2}, true).clamp_min(1e-6) * 3;
  }
  bool wants(std::string_view site) const override { return site == "embed.out"; }
};

// The zeros behind a shorter window took part in the ranges of its activations.
TEST(Perplexity, of_a_short_window_does_not_depend_on_the_windows_beside_it) {
  const auto network = small_llama();
  const auto tokens = tokens_of({21, 5, 13, 16}, 64);
  const WindowProtocol protocol{.context = 16, .text = "documents"};
  Ranging tap;
  const at::Tensor alone = score(*network, tap, tokens, protocol, 1, 1).window_nll;
  const at::Tensor together = score(*network, tap, tokens, protocol, 8, 1).window_nll;
  EXPECT_TRUE(at::allclose(alone, together, 1e-5)) << alone << together;
}

std::int64_t sum(const at::Tensor& counts, std::int64_t begin, std::int64_t length) {
  return counts.narrow(0, begin, length).sum().item<std::int64_t>();
}

TEST(Windows, do_not_overlap_and_drop_the_remainder) {
  const auto tokens = tokens_of({25, 10}, 50);
  const WindowedText text = cut_windows(tokens, {.context = 10});
  ASSERT_EQ(text.windows.size(), 3u);
  EXPECT_EQ(text.windows[2].begin, 20);
  EXPECT_EQ(text.windows[2].scored, 9);
  // Words and bytes of the scored tokens, not of the first.
  EXPECT_EQ(text.windows[0].bytes, sum(tokens.bytes, 1, 9));
  EXPECT_EQ(text.windows[2].words, sum(tokens.words, 21, 9));
}

TEST(Windows, of_a_stride_score_only_their_last_tokens) {
  const auto tokens = tokens_of({35}, 50);
  const WindowedText text = cut_windows(tokens, {.context = 10, .stride = 4});
  ASSERT_EQ(text.windows.size(), 7u);
  EXPECT_EQ(text.windows[1].begin, 4);
  EXPECT_EQ(text.windows[1].length, 10);
  EXPECT_EQ(text.windows[1].scored, 4);
  EXPECT_EQ(text.windows[1].bytes, sum(tokens.bytes, 10, 4));
}

TEST(Windows, of_no_stride_and_of_a_stride_of_the_context_are_one_protocol) {
  const auto tokens = tokens_of({35}, 50);
  EXPECT_EQ(cut_windows(tokens, {.context = 10}).stride, 10);
  EXPECT_EQ(cut_windows(tokens, {.context = 10, .stride = 10}).stride, 10);
  EXPECT_EQ(cut_windows(tokens, {.context = 10, .bos = "every_window"}).stride, 9);
}

TEST(Windows, with_a_beginning_of_text_each_score_every_new_token) {
  const WindowedText text = cut_windows(tokens_of({35}, 50), {.context = 10, .bos = "every_window"});
  ASSERT_EQ(text.windows.size(), 3u);
  EXPECT_EQ(text.windows[1].begin, 9);
  EXPECT_EQ(text.windows[1].scored, 9);
  EXPECT_EQ(text.bos_rule, "every_window");
}

// Two documents of "1 4 5 6 ..." whose tokenizer put the 1 in front.
datasets::TokenSet begun(const std::vector<std::int64_t>& lengths) {
  datasets::TokenSet tokens = tokens_of(lengths, 50);
  tokens.ids = at::arange(tokens.size(), at::kInt).remainder(40).add(2);
  tokens.adds_bos = true;
  for (std::size_t d = 0; d < lengths.size(); ++d) {
    tokens.ids[tokens.starts[d]] = 1;
    tokens.bytes[tokens.starts[d]] = 0;
  }
  return tokens;
}

// The id stood twice at the start of what the tokenizer began already, and in a stream at the start
// of every document, and was scored there.
TEST(Windows, have_the_beginning_of_text_once_and_never_as_a_target) {
  const auto tokens = begun({25, 12});
  for (const char* bos : {"tokenizer", "once"}) {
    const WindowedText text = cut_windows(tokens, {.context = 9, .bos = bos});
    EXPECT_EQ(text.bos_rule, "once");
    EXPECT_EQ(text.ids.eq(1).sum().item<int>(), 0);
    ASSERT_EQ(text.windows.size(), 4u);  // 1 + 35 tokens
    EXPECT_TRUE(text.windows[0].bos);
    EXPECT_EQ(text.windows[0].length, 8);
    EXPECT_EQ(text.windows[0].scored, 8);
    EXPECT_FALSE(text.windows[1].bos);
    EXPECT_EQ(text.windows[1].begin, 8);
  }
  const WindowedText every = cut_windows(tokens, {.context = 9, .bos = "every_window"});
  ASSERT_EQ(every.windows.size(), 4u);
  EXPECT_TRUE(every.windows[3].bos);
  EXPECT_EQ(every.windows[3].begin, 24);
  EXPECT_EQ(every.windows[3].scored, 8);
  const WindowedText none = cut_windows(tokens, {.context = 9, .bos = "none"});
  ASSERT_EQ(none.windows.size(), 3u);
  EXPECT_FALSE(none.windows[0].bos);
  EXPECT_EQ(none.windows[0].scored, 8);
}

TEST(Windows, of_documents_begin_each_document_once) {
  const WindowedText text =
      cut_windows(begun({25, 12}), {.context = 9, .bos = "tokenizer", .text = "documents"});
  ASSERT_EQ(text.windows.size(), 5u);  // 9, 9, 7; 9, 3
  EXPECT_TRUE(text.windows[0].bos);
  EXPECT_FALSE(text.windows[1].bos);
  EXPECT_TRUE(text.windows[3].bos);
  EXPECT_EQ(text.windows[3].begin, 24);
  EXPECT_EQ(text.windows[4].length, 3);
}

TEST(Windows, of_a_text_that_spells_its_beginning_out_get_no_second_one) {
  auto tokens = tokens_of({20}, 50);
  tokens.ids = at::arange(20, at::kInt).add(2);
  tokens.ids[0] = 1;
  tokens.adds_bos = true;  // but the text has it
  const WindowedText once = cut_windows(tokens, {.context = 10});
  EXPECT_FALSE(once.windows[0].bos);
  EXPECT_EQ(once.windows[0].length, 10);
  const WindowedText every = cut_windows(tokens, {.context = 10, .bos = "every_window"});
  EXPECT_FALSE(every.windows[0].bos);
  EXPECT_TRUE(every.windows[1].bos);
}

TEST(Windows, of_documents_stay_inside_and_keep_the_rest) {
  const auto tokens = tokens_of({25, 1, 4}, 50);
  const auto windows = cut_windows(tokens, {.context = 10, .text = "documents"}).windows;
  ASSERT_EQ(windows.size(), 4u);  // 10, 10, 5; nothing to score in 1; 4
  EXPECT_EQ(windows[2].length, 5);
  EXPECT_EQ(windows[2].scored, 4);
  EXPECT_EQ(windows[3].begin, 26);
  EXPECT_EQ(windows[3].words, sum(tokens.words, 27, 3));
}

TEST(Windows, protocols_that_cannot_be_are_errors) {
  const auto tokens = tokens_of({35}, 50);
  EXPECT_THROW(cut_windows(tokens, {.context = 1}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 10, .stride = 11}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 36}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 10, .text = "lines"}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 10, .bos = "always"}), Error);
  auto without = tokens;
  without.bos.reset();
  EXPECT_THROW(cut_windows(without, {.context = 10, .bos = "every_window"}), Error);
  EXPECT_THROW(cut_windows(without, {.context = 10, .bos = "once"}), Error);
}

}  // namespace
}  // namespace assay::evaluate
