#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "tests/harness/models/network_cases.h"

namespace assay::models {
namespace {

struct HashCase {
  const char* family;
  const char* architecture;
  std::vector<double> logits;  // of both images, or of the first
  double norm;
};

const std::vector<HashCase>& hash_cases() {
  static const std::vector<HashCase> cases{
      {"resnet", "resnet18", {-71.111973, -3.830006, 43.999724, 88.949752, 47.878056}, 2214.482556},
      {"resnet",
       "resnet50",
       {-2855.228832, -3611.037447, -505.587157, 1520.451299, 531.408183},
       133283.156},
      {"mobilenet_v2",
       "mobilenet_v2",
       {5.602616, -0.855562, -5.827454, 4.886003, 3.4048},
       124.712621}};
  return cases;
}

std::unique_ptr<Network> hashed(const HashCase& which, at::ScalarType dtype) {
  auto network = make_network(which.family, {{"architecture", which.architecture}});
  hash_fill(*network, dtype);
  return network;
}

TEST(Cnn, logits_equal_those_of_torchvision_in_both_precisions) {
  const c10::NoGradGuard no_grad;
  for (const HashCase& which : hash_cases())
    for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-8}, {at::kFloat, 2e-6}}) {
      const at::Tensor logits =
          hashed(which, dtype)->forward(hash_images({2, 3, 64, 64}, dtype)).to(at::kDouble);
      const double allowed = tolerance * which.norm + 1e-6 * std::abs(which.logits[0]);
      for (std::size_t i = 0; i < which.logits.size(); ++i)
        EXPECT_NEAR(logits[0][static_cast<std::int64_t>(i)].item<double>(), which.logits[i],
                    allowed)
            << which.architecture;
      EXPECT_NEAR(logits.norm().item<double>(), which.norm, tolerance * which.norm + 1e-3)
          << which.architecture;
    }
}

class SmallCnns : public ::testing::Test {
 protected:
  // One of each family, small enough for a debug build.
  static std::vector<std::unique_ptr<Network>> all(at::ScalarType dtype = at::kFloat) {
    std::vector<std::unique_ptr<Network>> list;
    list.push_back(make_network("resnet", {{"block", "basic"},
                                           {"layers", {1, 1, 1, 1}},
                                           {"width", 8},
                                           {"img_size", 64},
                                           {"num_classes", 5}}));
    list.push_back(make_network("resnet", {{"block", "bottleneck"},
                                           {"layers", {1, 2, 1, 1}},
                                           {"width", 4},
                                           {"img_size", 64},
                                           {"num_classes", 5}}));
    list.push_back(make_network(
        "cifar_resnet", {{"blocks", {1, 2, 1}}, {"widths", {4, 8, 16}}, {"num_classes", 5}}));
    list.push_back(make_network("mobilenet_v2", {{"width_mult", 0.1}, {"num_classes", 5}}));
    for (const auto& network : list) hash_fill(*network, dtype);
    return list;
  }
};

TEST_F(SmallCnns, every_site_fires_once_in_the_declared_order_and_changes_no_bit) {
  const c10::NoGradGuard no_grad;
  for (const auto& network : all()) {
    const at::Tensor images = hash_images({2, 3, 64, 64}, at::kFloat);
    Recorder recorder;
    EXPECT_TRUE(at::equal(network->forward(images), network->forward(images, recorder)));
    expect_sites(*network, recorder);
  }
}

TEST_F(SmallCnns, a_tap_replaces_the_edge_for_path_and_shortcut) {
  class Zero : public Tap {
   public:
    explicit Zero(std::string site) : site_(std::move(site)) {}
    at::Tensor operator()(std::string_view site, const at::Tensor& value) override {
      return site == site_ ? at::zeros_like(value) : value;
    }

   private:
    std::string site_;
  };
  const c10::NoGradGuard no_grad;
  for (const auto& network : all()) {
    // Nothing of the image is left once the first edge is zero.
    Zero zero(network->sites()[1]);
    const at::Tensor a = network->forward(hash_images({1, 3, 64, 64}, at::kFloat), zero);
    const at::Tensor b = network->forward(at::ones({1, 3, 64, 64}), zero);
    EXPECT_TRUE(at::equal(a, b));
  }
}

TEST_F(SmallCnns, training_uses_batch_statistics_and_moves_the_running_ones) {
  const auto network = make_network("cifar_resnet", {{"blocks", {1, 1, 1}}, {"num_classes", 4}});
  initialise(*network, 3);
  const at::Tensor images = 3 + 2 * hash_images({8, 3, 32, 32}, at::kFloat);
  const at::Tensor quiet = network->forward(images);
  network->set_training(true);
  Recorder recorder;
  const at::Tensor busy = network->forward(images, recorder);
  EXPECT_FALSE(at::allclose(quiet, busy));
  const at::Tensor x = recorder.values.at("bn1.in");
  EXPECT_TRUE(
      at::allclose(network->buffers().at("bn1.running_mean"), 0.1 * x.mean({0, 2, 3}), 1e-4, 1e-5));
  const at::Tensor variance = x.transpose(0, 1).flatten(1).var(1, /*unbiased=*/true);
  EXPECT_TRUE(
      at::allclose(network->buffers().at("bn1.running_var"), 0.9 + 0.1 * variance, 1e-4, 1e-5));
  network->set_training(false);
  EXPECT_FALSE(at::allclose(network->forward(images), quiet));
}

TEST_F(SmallCnns, a_step_of_descent_along_the_gradient_lowers_the_loss) {
  for (const auto& network : all(at::kDouble)) {
    network->set_training(true);
    for (const auto& item : network->parameters().slots()) item.second->set_requires_grad(true);
    const at::Tensor images = hash_images({4, 3, 64, 64}, at::kDouble);
    const at::Tensor labels = at::arange(4);
    const auto loss = [&] { return at::cross_entropy_loss(network->forward(images), labels); };
    const at::Tensor before = loss();
    before.backward();
    double square = 0;
    for (const auto& [name, slot] : network->parameters().slots()) {
      ASSERT_TRUE(slot->grad().defined()) << name;
      square += slot->grad().square().sum().item<double>();
    }
    ASSERT_GT(square, 0.0);
    const double step = 1e-4 / square;
    {
      const c10::NoGradGuard no_grad;
      for (const auto& item : network->parameters().slots())
        item.second->sub_(step * item.second->grad());
    }
    EXPECT_NEAR(before.item<double>() - loss().item<double>(), 1e-4, 5e-5);
  }
}

}  // namespace
}  // namespace assay::models
