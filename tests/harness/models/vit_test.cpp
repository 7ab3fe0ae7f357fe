#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "harness/base/error.h"
#include "tests/harness/models/network_cases.h"

namespace assay::models {
namespace {

Json toy(bool deit3 = false) {
  Json config{{"architecture", "vit"}, {"img_size", 32}, {"patch_size", 8},
              {"embed_dim", 24},       {"depth", 2},     {"num_heads", 3},
              {"num_classes", 5}};
  if (deit3) {
    config["no_embed_class"] = true;
    config["layer_scale"] = true;
  }
  return config;
}

class ToyVit : public ::testing::Test {
 protected:
  std::unique_ptr<Network> network(at::ScalarType dtype, bool deit3 = false) {
    auto made = make_network("vit", toy(deit3));
    hash_fill(*made, dtype);
    return made;
  }
  const at::NoGradGuard no_grad_;
};

void expect_logits(const at::Tensor& logits, const std::vector<double>& first, double norm,
                   double tolerance) {
  const at::Tensor flat = logits.to(at::kDouble).flatten();
  for (std::size_t i = 0; i < first.size(); ++i)
    EXPECT_NEAR(flat[static_cast<std::int64_t>(i)].item<double>(), first[i],
                tolerance * norm + 5e-7);
  EXPECT_NEAR(flat.norm().item<double>(), norm, tolerance * norm + 5e-7);
}

const std::vector<double> kVitLogits{-1.009362, -1.938574, 0.433525, 0.597635,  -3.143321,
                                     -0.123421, 0.473836,  0.413956, -0.749639, -3.632956};
const std::vector<double> kDeit3Logits{-0.715766, 0.563917,  0.791347, -0.60877, -0.814766,
                                       -0.690998, -0.491917, 1.113854, 0.298364, -2.759851};

TEST_F(ToyVit, logits_equal_those_of_timm_in_both_precisions) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-7}, {at::kFloat, 2e-6}}) {
    expect_logits(network(dtype)->forward(hash_images({2, 3, 32, 32}, dtype)), kVitLogits, 5.419769,
                  tolerance);
    expect_logits(network(dtype, true)->forward(hash_images({2, 3, 32, 32}, dtype)), kDeit3Logits,
                  3.486679, tolerance);
  }
}

TEST_F(ToyVit, a_recorder_sees_the_known_attention) {
  const auto net = network(at::kDouble);
  Recorder recorder;
  net->forward(hash_images({2, 3, 32, 32}, at::kDouble), recorder);
  const auto row = [&](const char* site) { return recorder.values.at(site)[0][0][0]; };
  const auto norm = [&](const char* site) {
    return recorder.values.at(site).norm().item<double>();
  };
  EXPECT_NEAR(row("blocks.0.attn.qk")[1].item<double>(), -13.7135303, 1e-6);
  EXPECT_NEAR(norm("blocks.0.attn.qk"), 241.442718, 1e-5);
  EXPECT_NEAR(row("blocks.0.attn.probs")[3].item<double>(), 0.31965282, 1e-7);
  EXPECT_NEAR(row("blocks.0.attn.av")[0].item<double>(), 0.9194946, 1e-6);
  EXPECT_NEAR(norm("blocks.0.attn.av"), 21.396108, 1e-5);
}

TEST_F(ToyVit, fused_and_explicit_attention_agree) {
  for (const bool deit3 : {false, true}) {
    const auto net = network(at::kFloat, deit3);
    const at::Tensor images = hash_images({2, 3, 32, 32}, at::kFloat);
    Recorder recorder;
    EXPECT_TRUE(at::allclose(net->forward(images), net->forward(images, recorder), 0, 1e-5));
  }
}

TEST_F(ToyVit, every_site_fires_once_in_the_declared_order) {
  for (const bool deit3 : {false, true}) {
    const auto net = network(at::kFloat, deit3);
    Recorder recorder;
    net->forward(hash_images({2, 3, 32, 32}, at::kFloat), recorder);
    expect_sites(*net, recorder);
  }
}

// Looks without wanting anything more.
class Watcher : public Tap {
 public:
  at::Tensor operator()(std::string_view, const at::Tensor& value) override {
    held_.push_back(value);
    copies_.push_back(value.clone());
    return value;
  }
  bool unchanged() const {
    for (std::size_t i = 0; i < held_.size(); ++i)
      if (!at::equal(held_[i], copies_[i])) return false;
    return !held_.empty();
  }

 private:
  std::vector<at::Tensor> held_, copies_;
};

TEST_F(ToyVit, looking_changes_no_bit_and_nothing_held_is_overwritten) {
  const auto net = network(at::kFloat);
  const at::Tensor images = hash_images({2, 3, 32, 32}, at::kFloat);
  Watcher watcher;
  Tap blind;
  EXPECT_TRUE(at::equal(net->forward(images, blind), net->forward(images, watcher)));
  EXPECT_TRUE(watcher.unchanged());
  EXPECT_TRUE(at::equal(images, hash_images({2, 3, 32, 32}, at::kFloat)));
}

TEST_F(ToyVit, without_anybody_looking_the_last_block_leaves_out_what_the_head_does_not_read) {
  for (const bool deit3 : {false, true})
    for (const bool distilled : {false, true}) {
      Json config = toy(deit3);
      config["distilled"] = distilled;
      const auto net = make_network("vit", config);
      hash_fill(*net, at::kDouble);
      const at::Tensor images = hash_images({2, 3, 32, 32}, at::kDouble);
      Tap blind;
      EXPECT_TRUE(at::allclose(net->forward(images), net->forward(images, blind), 1e-12, 1e-12));
    }
}

TEST_F(ToyVit, sites_of_protocol_p1_count_five_ten_a_block_and_two) {
  Json config = toy();
  config["depth"] = 12;
  const auto net = make_network("vit", config);
  EXPECT_EQ(net->sites().size(), 127u);
}

TEST_F(ToyVit, layers_are_four_a_block_and_two) {
  const auto net = network(at::kFloat);
  ASSERT_EQ(net->layers().size(), 10u);
  EXPECT_EQ(input_site_of(*net, 1), "blocks.1.norm1.out");
}

TEST(Vit, gradients_reach_the_image_and_every_parameter) {
  const auto net = make_network("vit", toy(true));
  hash_fill(*net, at::kDouble);
  for (const auto& item : net->parameters().slots()) item.second->set_requires_grad(true);
  at::Tensor images = hash_images({2, 3, 32, 32}, at::kDouble).set_requires_grad(true);
  net->forward(images).square().sum().backward();
  EXPECT_GT(images.grad().norm().item<double>(), 0.0);
  for (const auto& [name, slot] : net->parameters().slots()) {
    ASSERT_TRUE(slot->grad().defined()) << name;
    EXPECT_GT(slot->grad().norm().item<double>(), 0.0) << name;
  }
}

TEST(Vit, a_timm_name_gives_the_published_parameter_count) {
  const auto net = make_network("vit", {{"architecture", "deit_tiny_patch16_224.fb_in1k"}});
  std::int64_t count = 0;
  for (const auto& item : net->parameters().slots()) count += item.second->numel();
  EXPECT_EQ(count, 5717416);
  EXPECT_EQ(net->info().mean, (std::vector<double>{0.485, 0.456, 0.406}));
}

TEST(Vit, the_pretrained_configuration_of_timm_sets_normalisation_and_classes) {
  const auto net = make_network(
      "vit", {{"architecture", "vit_tiny_patch16_224"},
              {"num_classes", 10},
              {"num_features", 192},
              {"global_pool", "token"},
              {"pretrained_cfg", {{"mean", {0.1, 0.2, 0.3}}, {"input_size", {3, 64, 64}}}}});
  EXPECT_EQ(net->info().outputs, 10);
  EXPECT_EQ(net->info().mean, (std::vector<double>{0.1, 0.2, 0.3}));
  EXPECT_EQ(net->info().input, (std::vector<std::int64_t>{3, 64, 64}));
}

TEST(Vit, a_pretrained_configuration_without_statistics_means_imagenet_s_as_timm_reads_it) {
  const Json named = {{"architecture", "vit_tiny_patch16_224"}};
  EXPECT_EQ(make_network("vit", named)->info().mean, (std::vector<double>{0.5, 0.5, 0.5}));
  Json configured = named;
  configured["pretrained_cfg"] = {{"input_size", {3, 224, 224}}};
  EXPECT_EQ(make_network("vit", configured)->info().mean,
            (std::vector<double>{0.485, 0.456, 0.406}));
}

TEST(Vit, images_of_another_size_are_refused) {
  const auto net = make_network("vit", toy());
  EXPECT_THROW(net->forward(at::zeros({1, 3, 24, 32})), Error);
}

TEST(Vit, the_same_seed_gives_the_same_network_and_another_one_not) {
  const auto a = make_network("vit", toy());
  const auto b = make_network("vit", toy());
  initialise(*a, 1);
  initialise(*b, 1);
  EXPECT_TRUE(at::equal(a->parameters().at("head.weight"), b->parameters().at("head.weight")));
  EXPECT_NEAR(a->parameters().at("blocks.0.mlp.fc1.weight").std().item<double>(), 0.02, 0.002);
  initialise(*b, 2);
  EXPECT_FALSE(at::equal(a->parameters().at("head.weight"), b->parameters().at("head.weight")));
}

}  // namespace
}  // namespace assay::models
