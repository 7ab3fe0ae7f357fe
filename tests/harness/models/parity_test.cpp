#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/generation.h"
#include "harness/models/tensor_file.h"
#include "tests/harness/models/network_cases.h"

// Networks against numbers of their reference implementations ($ASSAY_TEST_DATA/parity and data).

namespace assay::models {
namespace {

namespace fs = std::filesystem;

class Parity : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(test_data() / "parity"))
      GTEST_SKIP() << "no test data below " << test_data() << "; set ASSAY_TEST_DATA";
  }

  static TensorMap case_of(const std::string& name) {
    return load_tensors(test_data() / "parity" / (name + ".safetensors"));
  }

  static at::Tensor vit_images() {
    return case_of("vision/images/vit_images").at("images").narrow(0, 0, 8);
  }

  // Absolute 2e-5 plus relative 1e-4 unless said otherwise.
  static void expect_close(const at::Tensor& got, const at::Tensor& want, const std::string& what,
                           double relative = 1e-4, double absolute = 2e-5) {
    ASSERT_EQ(got.sizes().vec(), want.sizes().vec()) << what;
    const at::Tensor allowed = absolute + relative * want.to(at::kDouble).abs();
    const at::Tensor error = (got.to(at::kDouble) - want.to(at::kDouble)).abs();
    EXPECT_TRUE((error <= allowed).all().item<bool>())
        << what << ": largest error " << error.max().item<double>();
  }

  const c10::NoGradGuard no_grad_;
};

TEST_F(Parity, vision_transformers_equal_timm_inside_and_out) {
  for (const std::string name : {"vit-tiny", "vit-teacher-tiny"}) {
    const TensorMap want = case_of("vision/forward/" + name);
    const auto network =
        load_network(checkpoint_on_disk(test_data() / "parity/vision/models" / (name + ".safetensors")));
    Recorder recorder;
    const at::Tensor logits = network->forward(vit_images(), recorder);
    expect_close(recorder.values.at("embed.out"), want.at("embed"), "embed");
    for (std::int64_t i = 0; i < network->unit_count(); ++i) {
      const std::string b = "blocks." + std::to_string(i) + ".";
      const std::string end = "." + std::to_string(i);
      expect_close(recorder.values.at(b + "attn.qk"), want.at("qk" + end), "qk" + end);
      expect_close(recorder.values.at(b + "attn.probs"), want.at("attn" + end), "attn" + end);
      expect_close(recorder.values.at(b + "attn.av"), want.at("av" + end), "av" + end);
      expect_close(recorder.values.at(b + "residual2"), want.at("hidden" + end), "hidden" + end);
    }
    expect_close(recorder.values.at("norm.out"), want.at("norm"), "norm");
    expect_close(logits, want.at("logits"), "logits");
    EXPECT_TRUE(at::equal(logits.argmax(1), want.at("logits").argmax(1)));
    network->to(at::kDouble);
    expect_close(network->forward(vit_images().to(at::kDouble)), want.at("logits_f64"), "float64",
                 0, 1e-10);
  }
}

TEST_F(Parity, distilled_deit_averages_its_two_heads) {
  const TensorMap want = case_of("vision/forward/deit-distilled-tiny");
  const auto network =
      load_network(checkpoint_on_disk(test_data() / "parity/vision/models/deit-distilled-tiny.safetensors"));
  Recorder recorder;
  expect_close(network->forward(vit_images(), recorder), want.at("logits"), "logits");
  expect_close(recorder.values.at("norm.out"), want.at("tokens"), "tokens");
  expect_close(recorder.values.at("head.out"), want.at("logits_head"), "head");
  expect_close(recorder.values.at("head_dist.out"), want.at("logits_dist"), "head_dist");
  network->to(at::kDouble);
  expect_close(network->forward(vit_images().to(at::kDouble)), want.at("logits_f64"), "float64", 0,
               1e-10);
}

class CifarParity : public Parity {
 protected:
  struct Images {
    at::Tensor values;  // normalised float32 [300, 3, 32, 32]
    at::Tensor labels;
  };

  // Records of one label byte and 3 x 32 x 32 pixels.
  static Images images() {
    std::string bytes;
    for (const char* name :
         {"cifar10_test_lossless100_eran.bin", "cifar10_test_lossless200_abcrown.bin"})
      bytes += read_file(test_data() / "data/images/cifar10" / name);
    const at::Tensor records =
        at::from_blob(bytes.data(), {300, 3073}, at::kByte).clone().to(at::kLong);
    const at::Tensor pixels =
        records.narrow(1, 1, 3072).reshape({300, 3, 32, 32}).to(at::kFloat) / 255;
    const auto channel = [](std::vector<float> v) { return at::tensor(v).view({1, 3, 1, 1}); };
    return {(pixels - channel({0.485F, 0.456F, 0.406F})) / channel({0.229F, 0.224F, 0.225F}),
            records.select(1, 0)};
  }
};

TEST_F(CifarParity, resnets_classify_exactly_the_known_number_of_images) {
  const Images data = images();
  struct Anchor {
    const char* name;
    std::int64_t correct, of_first_hundred;
    std::vector<double> logits;
  };
  for (const Anchor& anchor : {Anchor{"resnet20", 279, 94, {-0.59004, -0.95168, 0.14654, 6.31764}},
                               Anchor{"resnet32", 275, 92, {0.55266, -0.53997, -1.6931, 10.59072}},
                               Anchor{"resnet44", 280, 93, {4.26099, 0.30548, -0.81821, 7.19558}},
                               Anchor{"resnet56", 285, 96, {-2.867, 0.08029, 0.47711, 7.39454}}}) {
    const auto network = load_network(checkpoint_on_disk(test_data() / "data/weights/resnet-cifar10" /
                                      (std::string(anchor.name) + ".safetensors")));
    EXPECT_EQ(network->info().outputs, 10);
    const at::Tensor logits = network->forward(data.values);
    const at::Tensor right = logits.argmax(1) == data.labels;
    EXPECT_EQ(right.sum().item<std::int64_t>(), anchor.correct) << anchor.name;
    EXPECT_EQ(right.narrow(0, 0, 100).sum().item<std::int64_t>(), anchor.of_first_hundred)
        << anchor.name;
    // The anchors count from the second file.
    for (std::size_t i = 0; i < 4; ++i)
      EXPECT_NEAR(logits[100][static_cast<std::int64_t>(i)].item<double>(), anchor.logits[i], 1e-4)
          << anchor.name;
  }
}

TEST_F(CifarParity, resnet20_equals_its_reference_on_every_image) {
  const TensorMap want = case_of("vision/forward/resnet20");
  const auto network =
      load_network(checkpoint_on_disk(test_data() / "data/weights/resnet-cifar10/resnet20.safetensors"));
  Recorder recorder;
  const Images data = images();
  EXPECT_TRUE(at::equal(data.labels, want.at("labels")));
  expect_close(network->forward(data.values, recorder), want.at("logits"), "logits");
  expect_close(recorder.values.at("layer3.2.out").narrow(0, 0, 8), want.at("layer3"), "layer3");
}

TEST_F(CifarParity, mobilenet_equals_torchvision) {
  const TensorMap want = case_of("vision/forward/mobilenetv2-tiny");
  const auto network =
      load_network(checkpoint_on_disk(test_data() / "parity/vision/models/mobilenetv2-tiny.safetensors"));
  const at::Tensor eight = images().values.narrow(0, 0, 8);
  Recorder recorder;
  expect_close(network->forward(eight, recorder), want.at("logits"), "logits", 1e-3, 1e-3);
  // features.i is unit i - 1, and what it gives is the input of the next.
  const auto given_by = [&](std::int64_t feature) {
    return recorder.values.at(input_site_of(*network, feature));
  };
  expect_close(given_by(3).narrow(0, 0, 2), want.at("features.3"), "features.3", 1e-3);
  expect_close(given_by(7).narrow(0, 0, 2), want.at("features.7"), "features.7", 1e-3);
  expect_close(given_by(17), want.at("features.17"), "features.17", 1e-3);
}

TEST_F(Parity, language_models_equal_transformers) {
  for (const std::string name : {"opt-tiny", "llama-tiny"}) {
    const TensorMap want = case_of("llm/forward/" + name);
    const auto network = load_network(checkpoint_on_disk(test_data() / "parity/llm/models" / name));
    Recorder recorder;
    const at::Tensor logits = network->forward(want.at("tokens"), recorder);
    const auto expect_tensor = [&](const std::string& site, const std::string& key) {
      const at::Tensor& wanted = want.at(key);
      expect_close(recorder.values.at(site), wanted, name + " " + key, 0,
                   1e-5 * wanted.abs().max().item<double>());
    };
    for (std::int64_t i = 0; i < network->unit_count(); ++i) {
      const std::string ours = "blocks." + std::to_string(i) + ".";
      const std::string theirs = "block." + std::to_string(i) + ".";
      expect_tensor(ours + "in", theirs + "in");
      expect_tensor(ours + "attn.q.in", theirs + "ln1.out");
      for (const char* head : {"q", "k", "v"})
        expect_tensor(ours + "attn." + head + ".out", theirs + head + "_proj.out");
      expect_tensor(ours + "attn.out.in", theirs + "attn_concat");
      const bool last = i + 1 == network->unit_count();
      expect_tensor(last ? "norm.in" : "blocks." + std::to_string(i + 1) + ".in", theirs + "out");
    }
    expect_tensor("head.in", "final_norm.out");
    expect_tensor("head.out", "logits");
    EXPECT_TRUE(at::allclose(network->forward(want.at("tokens")), logits, 1e-4, 1e-4));
    network->to(at::kDouble);
    expect_close(network->forward(want.at("tokens")),
                 case_of("llm/forward/" + name + "_f64").at("logits"), "float64", 0, 1e-10);
  }
}

TEST_F(Parity, language_losses_equal_transformers_on_every_test_sequence) {
  const at::Tensor tokens = case_of("llm/models/tokens").at("test").to(at::kLong);
  const std::int64_t count = tokens.size(0);
  const std::int64_t length = tokens.size(1);
  for (const std::string name : {"opt-tiny", "llama-tiny"}) {
    const auto network = load_network(checkpoint_on_disk(test_data() / "parity/llm/models" / name));
    const at::Tensor logits = network->forward(tokens).narrow(1, 0, length - 1).flatten(0, 1);
    const at::Tensor losses = at::cross_entropy_loss(
        logits, tokens.narrow(1, 1, length - 1).flatten(), {}, at::Reduction::None);
    expect_close(losses.view({count, length - 1}).mean(1),
                 case_of("llm/forward/" + name).at("test_nll_per_sequence"), name, 0, 1e-5);
  }
}

TEST_F(Parity, stories260K_continues_a_story) {
  const auto network = load_network(checkpoint_on_disk(test_data() / "data/weights/stories260K"));
  network->to(at::kDouble);
  const at::Tensor prompt = at::tensor(std::vector<std::int64_t>{1, 403, 407, 261, 378}, at::kLong);
  const std::vector<std::int64_t> golden{432, 383, 286, 261, 376, 298, 315, 421,
                                         395, 317, 426, 338, 401, 396, 267, 337,
                                         410, 408, 419, 292, 411, 322, 265, 282};
  Tap nothing;
  const at::Tensor story = generate(*network, prompt.unsqueeze(0), 24, {}, nothing);
  EXPECT_TRUE(story[0].narrow(0, 5, 24).equal(at::tensor(golden, at::kLong))) << story;
}

}  // namespace
}  // namespace assay::models
