#include "harness/evaluate/activation_sizes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "harness/evaluate/language.h"
#include "harness/models/generation.h"
#include "tests/harness/evaluate/small_language.h"
#include "tests/support/refusal.h"

namespace assay::evaluate {
namespace {

// Keeps what every site and unit is given.
struct Keeper : models::Tap {
  std::map<std::string, at::Tensor, std::less<>> values;
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
    values.insert_or_assign(std::string(site), value);
    return value;
  }
};

double quantile(std::vector<double> values, double part) {
  std::sort(values.begin(), values.end());
  const double place = part * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(place));
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - std::floor(place));
}

ActivationRecords measured(const models::Network& network, const WindowedText& text,
                           std::int64_t chunk, std::int64_t shards) {
  models::Untapped none;
  const auto count = static_cast<std::int64_t>(text.windows.size());
  ActivationRecords all;
  for (std::int64_t shard = 0; shard < shards; ++shard) {
    const ActivationRecords part =
        measure_activations(network, none, text, {count, chunk, shard, shards});
    const auto join = [&](at::Tensor& whole, const at::Tensor& own) {
      whole = whole.defined() ? at::cat({whole, own}) : own;
    };
    join(all.input_max, part.input_max);
    join(all.input_top10, part.input_top10);
    join(all.input_median, part.input_median);
    join(all.layer_max, part.layer_max);
  }
  return all;
}

TEST(Activations, sizes_of_every_window_written_out) {
  const auto network = small_llama();
  network->to(at::kDouble);
  const WindowedText text = cut_windows(tokens_of({50, 23}, 64), {.context = 12, .text = "documents"});
  const ActivationRecords records = measured(*network, text, 2, 1);
  for (std::size_t w = 0; w < text.windows.size(); ++w) {
    const Window& window = text.windows[w];
    at::Tensor ids = text.ids.narrow(0, window.begin, window.length).to(at::kLong);
    if (window.bos) ids = at::cat({at::full({1}, *text.bos, at::kLong), ids});
    Keeper seen;
    network->forward(ids.unsqueeze(0), seen);
    const auto row = static_cast<std::int64_t>(w);
    for (std::int64_t unit = 0; unit < 2; ++unit) {
      const std::string block = "blocks." + std::to_string(unit) + ".";
      const at::Tensor sizes = seen.values.at(block + "in").abs().flatten().contiguous();
      const std::vector<double> values(sizes.const_data_ptr<double>(),
                                       sizes.const_data_ptr<double>() + sizes.numel());
      EXPECT_NEAR(records.input_max[row][unit].item<double>(), quantile(values, 1), 1e-12);
      EXPECT_NEAR(records.input_top10[row][unit].item<double>(), quantile(values, 0.9), 1e-12);
      EXPECT_NEAR(records.input_median[row][unit].item<double>(), quantile(values, 0.5), 1e-12);
      double largest = 0;
      for (const char* site : {"attn.q.in", "attn.out.in", "mlp.gate.in", "mlp.down.in"}) {
        largest = std::max(largest, seen.values.at(block + site).abs().max().item<double>());
      }
      EXPECT_NEAR(records.layer_max[row][unit].item<double>(), largest, 1e-12);
    }
  }
}

TEST(Activations, do_not_depend_on_shards) {
  const auto network = small_llama();
  const WindowedText text = cut_windows(tokens_of({200}, 64), {.context = 12});
  const ActivationRecords whole = measured(*network, text, 4, 1);
  for (const std::int64_t shards : {2, 3, 7}) {
    const ActivationRecords parts = measured(*network, text, 4, shards);
    EXPECT_TRUE(parts.input_max.equal(whole.input_max));
    EXPECT_TRUE(parts.input_top10.equal(whole.input_top10));
    EXPECT_TRUE(parts.input_median.equal(whole.input_median));
    EXPECT_TRUE(parts.layer_max.equal(whole.layer_max));
  }
  const ActivationSizes sizes = summarise(whole);
  EXPECT_EQ(sizes.input_max.size(), 2U);
  EXPECT_EQ(sizes.layer_max[1], whole.layer_max.select(1, 1).max().item<double>());
  EXPECT_NEAR(sizes.input_top10[0], whole.input_top10.select(1, 0).mean().item<double>(), 1e-12);
}

TEST(Activations, that_are_not_finite_name_their_unit) {
  const auto network = small_llama();
  network->parameters().at("model.layers.0.mlp.down_proj.weight").fill_(std::nan(""));
  const WindowedText text = cut_windows(tokens_of({40}, 64), {.context = 12});
  EXPECT_THAT(testing::refusal([&] { measured(*network, text, 2, 1); }),
              ::testing::HasSubstr("activations of unit 1 are not finite"));
}

TEST(Decoding, a_text_token_by_token_has_the_likelihood_of_a_pass) {
  const auto network = small_llama();
  const WindowedText text = cut_windows(tokens_of({70, 31}, 64), {.context = 12, .text = "documents"});
  const auto count = static_cast<std::int64_t>(text.windows.size());
  for (const bool prefixed : {false, true}) {
    if (prefixed) {
      network->set_prefix(models::prefix_of(*network, at::tensor({5, 9}, at::kLong)));
    }
    models::Untapped none;
    int asked = 0;
    const at::Tensor whole = score_windows(*network, none, text, {count, 2, 0, 1}).window_nll;
    const at::Tensor decoded =
        score_windows(*network, none, text, {count, 2, 0, 1},
                      [&](std::int64_t, std::int64_t) { ++asked; }, Passing::kDecode)
            .window_nll;
    EXPECT_TRUE(decoded.allclose(whole, 1e-5, 0));
    EXPECT_GT(asked, 50);  // a stop is heard between tokens
  }
}

}  // namespace
}  // namespace assay::evaluate
