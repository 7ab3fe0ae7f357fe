#include "methods/train/trainer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>

#include <limits>

#include "harness/base/error.h"
#include "methods/train/train.h"
#include "tests/methods/train/stripes.h"
#include "tests/support/fake_context.h"
#include "tests/support/refusal.h"

namespace assay::train {
namespace {

using assay::testing::refusal;

Settings quick(std::int64_t steps) {
  Settings s;
  s.steps = steps;
  s.batch = 8;
  s.lr = 3e-3;
  s.crop = 1;
  s.flip = true;
  s.smoothing = 0.05;
  return s;
}

// A network on stripes with its data and trainer.
struct Rig {
  explicit Rig(const Settings& settings, const std::string& family = "vit",
               const Json& configuration = stripes_vit())
      : network(models::make_network(family, configuration)) {
    models::initialise(*network, 5);
    batches = image_batches(std::make_unique<Stripes>(32), network->info(), settings, 5);
    trainer = std::make_unique<Trainer>(*network, *batches, settings);
  }
  void steps(int count) {
    for (int i = 0; i < count; ++i) trainer->step();
  }

  std::unique_ptr<models::Network> network;
  std::unique_ptr<Batches> batches;
  std::unique_ptr<Trainer> trainer;
};

void expect_equal_bits(const Rig& a, const Rig& b) {
  for (const auto& [name, slot] : a.network->parameters().slots())
    EXPECT_TRUE(at::equal(*slot, b.network->parameters().at(name))) << name;
  for (const auto& [name, slot] : a.network->buffers().slots())
    EXPECT_TRUE(at::equal(*slot, b.network->buffers().at(name))) << name;
  EXPECT_EQ(a.trainer->recent_loss(), b.trainer->recent_loss());
}

class Training : public ::testing::Test {
 protected:
  TemporaryFolder folder;
};

TEST_F(Training, learns_what_can_be_learnt) {
  Rig rig(quick(60));
  const double before = rig.trainer->step();
  rig.steps(59);
  EXPECT_LT(rig.trainer->step(), 0.7 * before);
}

// Raise the stage's revision when these numbers move on purpose.
TEST_F(Training, golden_losses_of_revision_3) {
  EXPECT_EQ(train_method().stages.at(0).declaration.revision, 3);
  Rig rig(quick(12));
  std::vector<double> losses;
  for (int i = 0; i < 12; ++i) losses.push_back(rig.trainer->step());
  EXPECT_NEAR(losses[0], 0.693368, 1e-5);
  EXPECT_NEAR(losses[5], 0.672661, 1e-4);
  EXPECT_NEAR(losses[11], 0.641125, 1e-4);
}

TEST_F(Training, gives_the_same_bits_twice) {
  Rig a(quick(10));
  Rig b(quick(10));
  a.steps(10);
  b.steps(10);
  expect_equal_bits(a, b);
}

TEST_F(Training, resumed_from_a_checkpoint_ends_with_the_bits_of_an_uninterrupted_run) {
  Rig whole(quick(12));
  whole.steps(12);
  Rig first(quick(12));
  first.steps(5);
  first.trainer->save(folder / "c.safetensors");
  Rig second(quick(12));
  second.steps(2);  // whatever it did before does not matter
  second.trainer->load(folder / "c.safetensors");
  EXPECT_EQ(second.trainer->steps_done(), 5);
  second.steps(7);
  expect_equal_bits(whole, second);
}

TEST_F(Training, batch_statistics_are_part_of_a_checkpoint) {
  const Json resnet = {{"in_chans", 1},       {"img_size", 8},       {"num_classes", 2},
                       {"blocks", {1, 1, 1}}, {"widths", {4, 6, 8}}, {"mean", {0.4}},
                       {"std", {0.4}}};
  Rig whole(quick(6), "cifar_resnet", resnet);
  whole.steps(6);
  Rig first(quick(6), "cifar_resnet", resnet);
  const at::Tensor fresh = first.network->buffers().at("bn1.running_mean").clone();
  first.steps(3);
  EXPECT_FALSE(at::equal(first.network->buffers().at("bn1.running_mean"), fresh));
  first.trainer->save(folder / "c.safetensors");
  Rig second(quick(6), "cifar_resnet", resnet);
  second.trainer->load(folder / "c.safetensors");
  second.steps(3);
  expect_equal_bits(whole, second);
}

TEST_F(Training, a_stop_leaves_a_checkpoint_and_the_next_attempt_ends_with_the_same_bits) {
  Rig whole(quick(9));
  whole.steps(9);
  Rig first(quick(9));
  FakeContext context;
  context.stop_after = 4;
  EXPECT_THAT(refusal([&] { train_to_the_end(*first.trainer, context); }),
              ::testing::StartsWith("lost: "));
  EXPECT_THAT(context.checkpoints, ::testing::ElementsAre(4));
  context.stop_after = std::numeric_limits<int>::max();
  Rig second(quick(9));
  train_to_the_end(*second.trainer, context);
  expect_equal_bits(whole, second);
}

TEST_F(Training, writes_checkpoints_by_the_clock) {
  Rig rig(quick(4));
  FakeContext context;
  train_to_the_end(*rig.trainer, context, 0);
  EXPECT_EQ(context.checkpoints.size(), 4u);
}

TEST_F(Training, a_checkpoint_of_another_network_is_an_error) {
  Rig rig(quick(4));
  rig.steps(1);
  rig.trainer->save(folder / "c.safetensors");
  Json wider = stripes_vit();
  wider["embed_dim"] = 32;
  Rig other(quick(4), "vit", wider);
  EXPECT_THROW(other.trainer->load(folder / "c.safetensors"), Error);
}

TEST_F(Training, a_loss_that_is_not_finite_is_an_error_of_the_method) {
  Rig rig(quick(4));
  {
    const c10::NoGradGuard no_grad;
    rig.network->parameters().at("head.bias").fill_(std::numeric_limits<float>::quiet_NaN());
  }
  EXPECT_THAT(refusal([&] { rig.trainer->step(); }),
              ::testing::HasSubstr("method: train: the loss is nan at step 0"));
}

}  // namespace
}  // namespace assay::train
