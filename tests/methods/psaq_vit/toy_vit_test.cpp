// Gold vectors on a network whose weights are a hash of their names, in float64.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "methods/psaq_vit/losses.h"
#include "methods/psaq_vit/method.h"
#include "tests/harness/models/network_cases.h"

namespace assay::psaq_vit {
namespace {

class ToyVit : public ::testing::Test {
 protected:
  ToyVit()
      : network_(models::make_network("vit", {{"img_size", 32},
                                              {"patch_size", 8},
                                              {"embed_dim", 24},
                                              {"depth", 2},
                                              {"num_heads", 3},
                                              {"num_classes", 5}})),
        images_(models::hash_images({2, 3, 32, 32}, at::kDouble)) {
    models::hash_fill(*network_, at::kDouble);
  }

  // Logits of image 0 after min-max calibration on both.
  std::vector<double> quantized_logits(int weight_bits, int activation_bits) {
    const quant::Ranges ranges = quant::observe(*network_, {images_, 2}, network_->sites(), {});
    const auto tap = apply(p1_model(*network_, ranges, weight_bits, activation_bits), *network_);
    const at::Tensor logits = network_->forward(images_, *tap)[0].contiguous();
    return {logits.const_data_ptr<double>(), logits.const_data_ptr<double>() + 5};
  }

  static void expect_near(const std::vector<double>& found, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-5);
  }

  std::unique_ptr<models::Network> network_;
  at::Tensor images_;
};

TEST_F(ToyVit, entropy_of_each_block) {  // PS-T3
  models::Recorder recorder;
  network_->forward(images_, recorder);
  const std::vector<double> expected{-0.208734, -0.162770};
  for (std::size_t i = 0; i < 2; ++i) {
    const at::Tensor av = recorder.values.at("blocks." + std::to_string(i) + ".attn.av");
    EXPECT_NEAR(similarity_entropy(patch_similarity(av).flatten(1)).item<double>(), expected[i],
                1e-6);
  }
}

TEST_F(ToyVit, total_variation_of_the_input) {  // PS-T4
  EXPECT_NEAR(total_variation(images_).item<double>(), 500.480854, 1e-6);
}

TEST_F(ToyVit, logits_at_w8a8) {  // PS-T9
  expect_near(quantized_logits(8, 8), {-0.978843, -1.957685, 0.547488, 0.59726, -3.00289});
}

TEST_F(ToyVit, logits_at_w4a8) {
  expect_near(quantized_logits(4, 8), {-1.310654, -2.140181, 0.59726, 0.431354, -3.218567});
}

TEST_F(ToyVit, logits_at_w4a4) {
  expect_near(quantized_logits(4, 4), {0, -0.282039, -0.282039, -1.692236, -3.666512});
}

}  // namespace
}  // namespace assay::psaq_vit
