#include "harness/evaluate/divergence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "harness/base/error.h"
#include "harness/evaluate/float_states.h"
#include "tests/harness/evaluate/small_language.h"
#include "tests/harness/evaluate/toy_networks.h"
#include "tests/support/refusal.h"

namespace assay::evaluate {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

// One position, written out in float64.
struct ByHand {
  double kld = 0;
  double entropy = 0;
  double delta_p = 0;
  double ln_ratio = 0;
  bool same_top = false;
};

std::vector<double> log_softmax_by_hand(const at::Tensor& row, std::int64_t& top) {
  const at::Tensor wide = row.to(at::kDouble).contiguous();
  const double* x = wide.const_data_ptr<double>();
  const std::int64_t count = wide.numel();
  double sum = 0;
  top = 0;
  for (std::int64_t v = 0; v < count; ++v) {
    sum += std::exp(x[v]);
    if (x[v] > x[top]) top = v;
  }
  std::vector<double> log_p;
  for (std::int64_t v = 0; v < count; ++v) log_p.push_back(x[v] - std::log(sum));
  return log_p;
}

ByHand by_hand(const at::Tensor& p, const at::Tensor& q, std::int64_t target) {
  std::int64_t top_p = 0;
  std::int64_t top_q = 0;
  const std::vector<double> log_p = log_softmax_by_hand(p, top_p);
  const std::vector<double> log_q = log_softmax_by_hand(q, top_q);
  ByHand result;
  for (std::size_t v = 0; v < log_p.size(); ++v) {
    result.kld += std::exp(log_p[v]) * (log_p[v] - log_q[v]);
    result.entropy -= std::exp(log_p[v]) * log_p[v];
  }
  const auto t = static_cast<std::size_t>(target);
  result.delta_p = std::exp(log_p[t]) - std::exp(log_q[t]);
  result.ln_ratio = log_p[t] - log_q[t];
  result.same_top = top_p == top_q;
  return result;
}

at::Tensor waves(std::int64_t rows, double step, double height) {
  return at::arange(rows * 50, at::kDouble).mul(step).sin().mul(height).reshape({rows, 50});
}

// More rows than are computed together.
constexpr std::int64_t kManyRows = 150;

TEST(Divergence, is_what_float64_by_hand_gives) {
  const at::Tensor targets = at::arange(kManyRows).remainder(50);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    const at::Tensor p = waves(kManyRows, 0.37, 4).to(type);
    const at::Tensor q = (p.to(at::kDouble) + waves(kManyRows, 1.13, 1)).to(type);
    const double tolerance = type == at::kDouble ? 1e-12 : 2e-6;  // else log-softmax is float32
    const PositionDivergence found = divergence(p, q, targets);
    ASSERT_EQ(found.kld.numel(), kManyRows);
    for (std::int64_t i = 0; i < kManyRows; ++i) {
      const ByHand expected = by_hand(p[i], q[i], i % 50);
      EXPECT_NEAR(found.kld[i].item<double>(), expected.kld, tolerance);
      EXPECT_NEAR(found.entropy[i].item<double>(), expected.entropy, 10 * tolerance);
      EXPECT_NEAR(found.delta_p[i].item<double>(), expected.delta_p, tolerance);
      EXPECT_NEAR(found.ln_ratio[i].item<double>(), expected.ln_ratio, tolerance);
      EXPECT_EQ(found.same_top[i].item<bool>(), expected.same_top) << i;
    }
    // Both occur, and the two directions of the divergence are told apart.
    EXPECT_GT(found.same_top.sum().item<int>(), 0);
    EXPECT_LT(found.same_top.sum().item<int>(), kManyRows);
    EXPECT_GT((divergence(q, p, targets).kld - found.kld).abs().max().item<double>(), 1e-3);
  }
}

TEST(Divergence, of_equal_logits_is_zero_to_the_bit) {
  const at::Tensor targets = at::arange(kManyRows).remainder(50);
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const at::Tensor p = waves(kManyRows, 0.37, 9).to(type);
    const PositionDivergence found = divergence(p, p.clone(), targets);
    EXPECT_EQ(found.kld.abs().max().item<double>(), 0);
    EXPECT_EQ(found.delta_p.abs().max().item<double>(), 0);
    EXPECT_EQ(found.ln_ratio.abs().max().item<double>(), 0);
    EXPECT_EQ(found.same_top.sum().item<std::int64_t>(), kManyRows);
  }
}

TEST(Divergence, below_zero_is_no_more_than_rounding) {
  const at::Tensor p = waves(kManyRows, 0.37, 9).to(at::kFloat);
  const at::Tensor q = p + waves(kManyRows, 1.13, 1e-6).to(at::kFloat);
  const at::Tensor kld = divergence(p, q, at::zeros({kManyRows}, at::kLong)).kld;
  EXPECT_GT(kld.abs().max().item<double>(), 0);
  EXPECT_LT(kld.abs().max().item<double>(), 2e-6);
}

TEST(Divergence, the_first_of_equal_logits_is_the_top_token) {
  const at::Tensor p = at::tensor({0.0, 2.0, 2.0}).unsqueeze(0);
  const at::Tensor first = at::tensor({0.0, 3.0, 2.0}).unsqueeze(0);
  const at::Tensor second = at::tensor({0.0, 2.0, 3.0}).unsqueeze(0);
  const at::Tensor target = at::zeros({1}, at::kLong);
  EXPECT_TRUE(divergence(p, first, target).same_top.item<bool>());
  EXPECT_FALSE(divergence(p, second, target).same_top.item<bool>());
}

DivergenceRecords records_by_hand() {
  return {.window_tokens = at::tensor({3, 1}, at::kLong),
          .window_size = at::tensor({4, 10}, at::kLong),
          .window_kld = at::tensor({0.6, 0.5}, at::kDouble),
          .window_same_top = at::tensor({200.0, 100.0}, at::kDouble),
          .window_ln_ratio = at::tensor({0.3, -0.5}, at::kDouble),
          .window_delta_p_squared = at::tensor({0.11, 0.05}, at::kDouble),
          .token_kld = at::tensor({0.1, 0.3, 0.2, 0.5}, at::kDouble),
          .token_entropy = at::tensor({2.0, 1.0, 3.0, 1.0}, at::kFloat),
          .token_delta_p = at::zeros({4}, at::kFloat),
          .token_same_top = at::ones({4}, at::kByte)};
}

TEST(DivergenceSummary, is_taken_over_positions) {
  const DivergenceMetrics metrics = summarise(records_by_hand());
  EXPECT_EQ(metrics.windows, 2);
  EXPECT_EQ(metrics.tokens, 4);
  EXPECT_NEAR(metrics.kld_mean, 1.1 / 4, 1e-15);
  EXPECT_NEAR(metrics.kld_max, 0.5, 1e-15);
  EXPECT_NEAR(metrics.kld_p99, 0.3 + 0.2 * 0.97, 1e-15);  // 99 % of the way over three gaps
  EXPECT_NEAR(metrics.kld_p999, 0.3 + 0.2 * 0.997, 1e-15);
  EXPECT_NEAR(metrics.top1_agreement, 75, 1e-15);
  EXPECT_NEAR(metrics.delta_p_rms, 0.2, 1e-15);
  EXPECT_NEAR(metrics.ln_ppl_ratio, -0.2 / 4, 1e-15);  // unequal windows: the total over tokens
}

TEST(DivergenceSummary, of_records_that_are_none_or_do_not_fit_is_refused) {
  DivergenceRecords records = records_by_hand();
  records.window_tokens = at::tensor({3, 2}, at::kLong);
  EXPECT_THAT(refusal([&] { summarise(records); }), HasSubstr("other positions than the 4"));
  records.token_kld = at::empty({0}, at::kDouble);
  EXPECT_THAT(refusal([&] { summarise(records); }), HasSubstr("no position"));
}

TEST(DivergenceSummary, tenths_of_the_window_count_positions_of_tokens) {
  // Tokens 1, 2, 3 of the first window and 9 of the second, of 10.
  const std::vector<TenthMean> tenths = by_position(records_by_hand(), 10);
  ASSERT_EQ(tenths.size(), 4U);
  EXPECT_EQ(tenths[0].tenth, 2);
  EXPECT_EQ(tenths[3].tenth, 10);
  EXPECT_EQ(tenths[1].kld, 0.3);
  EXPECT_EQ(tenths[2].entropy, 3);
  // Of a context of 20 tokens 1 is in the first tenth, 2 and 3 are in the second, 9 is in the
  // fifth.
  const std::vector<TenthMean> wider = by_position(records_by_hand(), 20);
  ASSERT_EQ(wider.size(), 3U);
  EXPECT_EQ(wider[1].tenth, 2);
  EXPECT_EQ(wider[1].kld, 0.25);
  EXPECT_EQ(wider[2].tenth, 5);
}

TEST(DivergenceSummary, tenths_of_the_entropy_hold_equally_many_positions) {
  DivergenceRecords records = records_by_hand();
  // In the order of their entropy: 20 positions, the first two of entropy 0 and divergence 19, 18.
  records.token_kld = at::arange(20, at::kDouble);
  records.token_entropy = at::arange(19, -1, -1).floor_divide(2).to(at::kFloat);
  const std::vector<TenthMean> tenths = by_entropy(records);
  ASSERT_EQ(tenths.size(), 10U);
  EXPECT_EQ(tenths[0].tenth, 1);
  EXPECT_EQ(tenths[0].kld, 18.5);
  EXPECT_EQ(tenths[0].entropy, 0);
  EXPECT_EQ(tenths[9].kld, 0.5);
  EXPECT_EQ(tenths[9].entropy, 9);
  // Four positions fill four tenths.
  EXPECT_EQ(by_entropy(records_by_hand()).size(), 4U);
}

struct Compared {
  WindowedText text;
  DivergenceRecords records;
};

Compared compare(const models::Network& network, const models::Network& model,
                 const WindowProtocol& protocol, std::int64_t chunk, std::int64_t shard = 0,
                 std::int64_t shards = 1) {
  WindowedText text = cut_windows(tokens_of({150, 61, 9}, 64), protocol);
  const datasets::ChunkPlan plan{static_cast<std::int64_t>(text.windows.size()), chunk, shard,
                                 shards};
  models::Untapped tap;
  const at::Tensor states = float_states(model, text, plan);
  DivergenceRecords records = compare_windows(network, tap, model, states, text, plan);
  return {std::move(text), std::move(records)};
}

const std::vector<WindowProtocol>& protocols() {
  static const std::vector<WindowProtocol> kAll = {
      {.context = 16},
      {.context = 16, .stride = 5},
      {.context = 16, .bos = "every_window"},
      {.context = 32, .text = "documents"},
      {.context = 12, .bos = "once", .text = "documents"}};
  return kAll;
}

TEST(WindowDivergence, of_a_network_from_itself_is_zero_to_the_bit) {
  const auto network = small_llama();
  for (const WindowProtocol& protocol : protocols()) {
    const auto [text, records] = compare(*network, *network, protocol, 4);
    EXPECT_GT(records.token_kld.numel(), 0);
    EXPECT_EQ(records.token_kld.abs().max().item<double>(), 0);
    EXPECT_EQ(records.window_delta_p_squared.max().item<double>(), 0);
    EXPECT_EQ(summarise(records).top1_agreement, 100);
    EXPECT_EQ(summarise(records).kld_mean, 0);
  }
}

TEST(WindowDivergence, is_that_of_whole_passes_written_out) {
  const auto model = small_llama(3);
  const auto network = small_llama(3);
  at::Tensor& head = network->parameters().at("lm_head.weight");
  head = head + at::arange(head.numel()).mul(0.7).sin().view(head.sizes()).to(at::kFloat);
  for (const WindowProtocol& protocol : protocols()) {
    const auto [text, records] = compare(*network, *model, protocol, 4);
    std::int64_t position = 0;
    for (std::size_t w = 0; w < text.windows.size(); ++w) {
      const Window& window = text.windows[w];
      at::Tensor ids = text.ids.narrow(0, window.begin, window.length).to(at::kLong);
      if (window.bos) ids = at::cat({at::tensor({*text.bos}, at::kLong), ids});
      const at::Tensor p = model->forward(ids.unsqueeze(0))[0];
      const at::Tensor q = network->forward(ids.unsqueeze(0))[0];
      ByHand sums;
      double same = 0;
      double squares = 0;
      for (std::int64_t t = window.size() - window.scored; t < window.size(); ++t, ++position) {
        const ByHand one = by_hand(p[t - 1], q[t - 1], ids[t].item<std::int64_t>());
        EXPECT_NEAR(records.token_kld[position].item<double>(), one.kld, 1e-5);
        EXPECT_NEAR(records.token_entropy[position].item<double>(), one.entropy, 1e-5);
        EXPECT_NEAR(records.token_delta_p[position].item<double>(), one.delta_p, 1e-5);
        EXPECT_EQ(records.token_same_top[position].item<bool>(), one.same_top);
        sums.kld += one.kld;
        sums.ln_ratio += one.ln_ratio;
        same += one.same_top ? 100 : 0;
        squares += one.delta_p * one.delta_p;
      }
      const auto at = static_cast<std::int64_t>(w);
      EXPECT_EQ(records.window_tokens[at].item<std::int64_t>(), window.scored);
      EXPECT_EQ(records.window_size[at].item<std::int64_t>(), window.size());
      EXPECT_NEAR(records.window_kld[at].item<double>(), sums.kld, 1e-4);
      EXPECT_NEAR(records.window_ln_ratio[at].item<double>(), sums.ln_ratio, 1e-4);
      EXPECT_NEAR(records.window_delta_p_squared[at].item<double>(), squares, 1e-4);
      EXPECT_EQ(records.window_same_top[at].item<double>(), same);
    }
    EXPECT_EQ(position, records.token_kld.numel());
    EXPECT_GT(summarise(records).kld_mean, 0.01);
  }
}

TEST(WindowDivergence, any_number_of_shards_gives_the_same_bytes) {
  const auto model = small_llama(3);
  const auto network = small_llama(5);
  for (const WindowProtocol& protocol : protocols()) {
    const DivergenceRecords whole = compare(*network, *model, protocol, 2).records;
    for (const std::int64_t shards : {2, 3, 40}) {  // of 40 some have no window
      std::vector<at::Tensor> kld, entropy, windows;
      for (std::int64_t shard = 0; shard < shards; ++shard) {
        const DivergenceRecords part =
            compare(*network, *model, protocol, 2, shard, shards).records;
        kld.push_back(part.token_kld);
        entropy.push_back(part.token_entropy);
        windows.push_back(part.window_kld);
      }
      EXPECT_TRUE(at::equal(at::cat(kld), whole.token_kld));
      EXPECT_TRUE(at::equal(at::cat(entropy), whole.token_entropy));
      EXPECT_TRUE(at::equal(at::cat(windows), whole.window_kld));
    }
  }
}

TEST(WindowDivergence, of_a_float64_network_is_computed_in_float64) {
  const auto model = small_llama(3);
  const auto network = small_llama(5);
  const at::Tensor narrow = compare(*network, *model, {.context = 16}, 4).records.token_kld;
  model->to(at::kDouble);
  network->to(at::kDouble);
  const at::Tensor wide = compare(*network, *model, {.context = 16}, 4).records.token_kld;
  EXPECT_TRUE(at::allclose(narrow, wide, 1e-3, 2e-6));
  EXPECT_FALSE(at::equal(narrow, wide));
  EXPECT_FALSE(at::equal(wide, wide.to(at::kFloat).to(at::kDouble)));
}

TEST(WindowDivergence, states_keep_the_positions_that_are_compared_and_no_others) {
  const auto model = small_llama();
  const WindowedText text = cut_windows(tokens_of({150}, 64), {.context = 16, .stride = 5});
  const auto count = static_cast<std::int64_t>(text.windows.size());
  EXPECT_EQ(float_states(*model, text, {count, 4}).sizes(),
            (std::vector<std::int64_t>{count * 5, 16}));
}

TEST(WindowDivergence, what_does_not_fit_is_refused) {
  const ToyNetwork model = rippling_language(64, 32);
  const auto compared = [&](const models::Network& network, std::int64_t states_chunk) {
    const WindowedText text = cut_windows(tokens_of({150}, 64), {.context = 16});
    const datasets::ChunkPlan plan{9, 2, 0, 2};
    models::Untapped tap;
    const at::Tensor states = float_states(model, text, {9, states_chunk, 0, 2});
    compare_windows(network, tap, model, states, text, plan);
  };
  compared(uniform_language(64, 32), 2);  // these fit
  EXPECT_THAT(refusal([&] { compared(uniform_language(64, 32), 3); }),
              HasSubstr("data: the float model's states have shape [45], the shard 60 positions"));
  EXPECT_THAT(refusal([&] { compared(uniform_language(70, 32), 2); }),
              HasSubstr("data: the network has a vocabulary of 70, the float model one of 64"));
  EXPECT_THAT(refusal([&] { compared(uniform_language(64, 15), 2); }), HasSubstr("context 16"));
  EXPECT_THAT(refusal([&] { compared(uniform_language(63, 32), 2); }), HasSubstr("token id 63"));
  const ToyNetwork broken(uniform_language(64, 32).info(), [](const at::Tensor& ids) {
    at::Tensor logits = at::zeros({ids.size(0), ids.size(1), 64});
    logits[1][3][5].fill_(std::numeric_limits<float>::quiet_NaN());
    return logits;
  });
  EXPECT_THAT(refusal([&] { compared(broken, 2); }),
              HasSubstr("method: the network's divergence from the float model is not finite in "
                        "window 1"));
}

}  // namespace
}  // namespace assay::evaluate
