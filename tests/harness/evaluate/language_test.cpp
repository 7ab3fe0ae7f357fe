#include "harness/evaluate/language.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>

#include "harness/core/error.h"
#include "tests/harness/evaluate/toy_networks.h"

namespace assay::evaluate {
namespace {

datasets::TokenSet tokens_of(const std::vector<std::int64_t>& lengths, std::int64_t vocabulary) {
  datasets::TokenSet tokens;
  tokens.starts.push_back(0);
  for (const std::int64_t length : lengths) {
    tokens.starts.push_back(tokens.starts.back() + length);
    tokens.words.push_back(length / 2);
    tokens.bytes.push_back(length * 3);
  }
  tokens.ids = at::arange(tokens.size()).mul(7).remainder(vocabulary).to(at::kInt);
  tokens.bos = 1;
  return tokens;
}

LanguageRecords score(const models::Network& network, const datasets::TokenSet& tokens,
                      const WindowProtocol& protocol, std::int64_t chunk, std::int64_t shards) {
  const std::vector<Window> windows = cut_windows(tokens, protocol);
  const auto count = static_cast<std::int64_t>(windows.size());
  models::Untapped tap;
  std::vector<at::Tensor> nll, scored, words, bytes;
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const LanguageRecords part =
        score_windows(network, tap, tokens, windows, protocol, {count, chunk, shard, shards});
    nll.push_back(part.window_nll);
    scored.push_back(part.window_tokens);
    words.push_back(part.window_words);
    bytes.push_back(part.window_bytes);
  }
  return {at::cat(nll), at::cat(scored), at::cat(words), at::cat(bytes)};
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
      at::tensor({2.0, 1.5}, at::kDouble), at::tensor({11.0, 9.0}, at::kDouble)};
  const LanguageMetrics metrics = summarise(records);
  const double total = 4.75;
  EXPECT_EQ(metrics.tokens, 14);
  EXPECT_NEAR(metrics.nll, total / 14, 1e-12);
  EXPECT_NEAR(std::log(metrics.perplexity) * 14, total, 1e-12);
  EXPECT_NEAR(std::log(metrics.word_perplexity) * 3.5, total, 1e-12);
  EXPECT_NEAR(std::log(metrics.byte_perplexity) * 20, total, 1e-12);
  EXPECT_NEAR(metrics.bits_per_byte * 20 * std::log(2.0), total, 1e-12);
}

TEST(Perplexity, windows_of_unequal_length_are_weighted_by_their_tokens) {
  const LanguageRecords records = {
      at::tensor({4.0, 1.0}, at::kDouble), at::tensor({4, 2}, at::kLong),
      at::tensor({1.0, 1.0}, at::kDouble), at::tensor({1.0, 1.0}, at::kDouble)};
  EXPECT_NEAR(summarise(records).nll, 5.0 / 6, 1e-12);
  EXPECT_THROW(
      summarise(LanguageRecords{at::empty({0}, at::kDouble), at::empty({0}, at::kLong), {}, {}}),
      Error);
}

TEST(Perplexity, any_number_of_shards_gives_the_same_bytes) {
  const auto network = models::make_network("llama", {{"vocab_size", 64},
                                                      {"hidden_size", 16},
                                                      {"intermediate_size", 24},
                                                      {"num_hidden_layers", 2},
                                                      {"num_attention_heads", 2},
                                                      {"num_key_value_heads", 1},
                                                      {"max_position_embeddings", 32},
                                                      {"rms_norm_eps", 1e-5},
                                                      {"rope_theta", 10000.0},
                                                      {"tie_word_embeddings", false}});
  models::initialise(*network, 3);
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
  try {
    score(network, tokens_of({100}, 50), {.context = 10}, 4, 1);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMethod);
    EXPECT_NE(std::string(error.what()).find("window 1"), std::string::npos);
  }
}

TEST(Windows, do_not_overlap_and_drop_the_remainder) {
  const auto windows = cut_windows(tokens_of({25, 10}, 50), {.context = 10});
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[2].begin, 20);
  EXPECT_EQ(windows[2].scored, 9);
  EXPECT_NEAR(windows[0].bytes, 105.0 * 10 / 35, 1e-12);
}

TEST(Windows, of_a_stride_score_only_their_last_tokens) {
  const auto windows = cut_windows(tokens_of({35}, 50), {.context = 10, .stride = 4});
  ASSERT_EQ(windows.size(), 7u);
  EXPECT_EQ(windows[1].begin, 4);
  EXPECT_EQ(windows[1].length, 10);
  EXPECT_EQ(windows[1].scored, 4);
}

TEST(Windows, with_a_beginning_of_text_each_score_every_new_token) {
  const auto windows = cut_windows(tokens_of({35}, 50), {.context = 10, .bos_every_window = true});
  ASSERT_EQ(windows.size(), 3u);
  EXPECT_EQ(windows[1].begin, 9);
  EXPECT_EQ(windows[1].scored, 9);
}

TEST(Windows, of_documents_stay_inside_and_keep_the_rest) {
  const auto windows = cut_windows(tokens_of({25, 1, 4}, 50), {.context = 10, .text = "documents"});
  ASSERT_EQ(windows.size(), 4u);  // 10, 10, 5; nothing to score in 1; 4
  EXPECT_EQ(windows[2].length, 5);
  EXPECT_EQ(windows[2].scored, 4);
  EXPECT_EQ(windows[3].begin, 26);
  EXPECT_NEAR(windows[3].words, 2, 1e-12);
}

TEST(Windows, protocols_that_cannot_be_are_errors) {
  const auto tokens = tokens_of({35}, 50);
  EXPECT_THROW(cut_windows(tokens, {.context = 1}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 10, .stride = 11}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 36}), Error);
  EXPECT_THROW(cut_windows(tokens, {.context = 10, .text = "lines"}), Error);
  auto without = tokens;
  without.bos.reset();
  EXPECT_THROW(cut_windows(without, {.context = 10, .bos_every_window = true}), Error);
}

}  // namespace
}  // namespace assay::evaluate
