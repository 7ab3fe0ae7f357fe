#include "methods/quant/observer.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/methods/support/chain_network.h"
#include "tests/support/refusal.h"

namespace assay::quant {
namespace {

using assay::testing::refusal;
using models::ChainNetwork;
using ::testing::HasSubstr;

at::Tensor observed_inputs() {
  at::manual_seed(5);
  return at::randn({11, 4, 6}, at::kDouble);
}

TEST(Observe, min_max_are_the_extremes_of_all_chunks) {
  const ChainNetwork network(2, 6, at::kDouble);
  const at::Tensor x = observed_inputs();
  const Ranges ranges = observe(network, {x, 4}, network.sites(), {});
  EXPECT_EQ(ranges.at("units.0.linear.in").low, x.min().item<double>());
  EXPECT_EQ(ranges.at("units.0.linear.in").high, x.max().item<double>());
  models::Tap none;
  EXPECT_NEAR(ranges.at("units.1.linear.in").high, network.unit(0, x, none).max().item<double>(),
              1e-12);
}

TEST(Observe, percentile_is_the_mean_over_chunks_and_padding_does_not_count) {
  const ChainNetwork network(1, 6, at::kDouble);
  const at::Tensor x = observed_inputs();
  double expected = 0;
  for (std::int64_t begin = 0; begin < 11; begin += 4) {
    expected +=
        at::quantile(x.narrow(0, begin, std::min<std::int64_t>(4, 11 - begin)).reshape({-1}), 0.9)
            .item<double>() /
        3;
  }
  const Ranges ranges = observe(network, {x, 4}, network.sites(),
                                {.kind = ObserverKind::kPercentile, .percentile = 0.9});
  EXPECT_NEAR(ranges.at("units.0.linear.in").high, expected, 1e-12);
}

TEST(Observe, mse_shrinks_a_range_with_an_outlier_and_is_never_worse_than_min_max) {
  const ChainNetwork network(1, 6, at::kDouble);
  at::Tensor x = observed_inputs();
  x[0][0][0] = 9;
  const Range wide = observe(network, {x, 8}, network.sites(), {}).at("units.0.linear.in");
  const Range best =
      observe(network, {x, 8}, network.sites(), {.kind = ObserverKind::kMse, .bits = 3})
          .at("units.0.linear.in");
  const auto error = [&](Range range) {
    return (static_quantizer(range, 3, false, at::kDouble)(x) - x).square().sum().item<double>();
  };
  EXPECT_LT(best.high, wide.high);
  EXPECT_LT(error(best), error(wide));
}

TEST(Observe, a_site_that_the_network_never_reaches_is_an_error) {
  const ChainNetwork network(1, 6, at::kDouble);
  EXPECT_THAT(refusal([&] {
                observe(network, {observed_inputs(), 4}, {"units.7.linear.in"}, {});
              }),
              HasSubstr("method: site 'units.7.linear.in' was not reached"));
}

TEST(Ranges, survive_a_round_trip_through_json) {
  const Ranges ranges{{"a", {-0.1f, 0.3f}}, {"b", {1e-30, 5}}};
  const Ranges read = ranges_from(parse_json(to_json(ranges).dump(), "ranges.json"), "ranges.json");
  EXPECT_EQ(read.at("a").low, ranges.at("a").low);
  EXPECT_EQ(read.at("b").low, ranges.at("b").low);
  EXPECT_THAT(refusal([] {
                ranges_from(Json{{"sites", {{"a", {{"low", 1}}}}}}, "ranges.json");
              }),
              HasSubstr("site 'a' has no range"));
}

}  // namespace
}  // namespace assay::quant
