#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/models/headers.h"
#include "tests/harness/models/checkpoint_fixture.h"
#include "tests/harness/models/network_cases.h"
#include "tests/support/refusal.h"

namespace assay::models {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::HasSubstr;

TEST_F(Checkpoint, a_saved_network_comes_back_bit_for_bit) {
  for (const Json& configuration : {vit(), llama(), mobilenet()}) {
    const auto network = made(configuration);
    save_network(*network, folder_);
    const auto loaded = load_network(checkpoint_on_disk(folder_));
    expect_equal(*network, *loaded);
    EXPECT_EQ(loaded->configuration(), network->configuration());
    const at::Tensor input = network->info().task == Task::kLanguage
                                 ? at::arange(6).unsqueeze(0)
                                 : hash_images({2, 3, 16, 16}, at::kFloat);
    EXPECT_TRUE(at::equal(network->forward(input), loaded->forward(input)));
  }
}

TEST_F(Checkpoint, half_precision_is_kept_and_mixed_ones_take_the_widest) {
  const auto network = made(vit());
  network->to(at::kBFloat16);
  save_network(*network, folder_);
  EXPECT_EQ(load_network(checkpoint_on_disk(folder_))->dtype(), at::kBFloat16);
  TensorMap tensors = tensors_of(*network);
  tensors["norm.weight"] = tensors["norm.weight"].to(at::kFloat);
  write(vit(), tensors);
  const auto mixed = load_network(checkpoint_on_disk(folder_));
  for (const auto& item : mixed->parameters().slots())
    EXPECT_EQ(item.second->scalar_type(), at::kFloat);
}

TEST_F(Checkpoint, prefixes_of_other_libraries_are_understood) {
  for (const Json& configuration : {vit(), llama()})
    for (const std::string prefix : {"module.", "model.", "transformer."}) {
      const auto network = made(configuration);
      TensorMap renamed;
      for (const auto& [name, tensor] : tensors_of(*network)) renamed[prefix + name] = tensor;
      write(configuration, renamed);
      if (configuration.contains("model_type") && prefix == "model.") continue;  // doubled prefix
      expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
    }
  const auto network = made(llama());
  TensorMap bare;
  for (const auto& [name, tensor] : tensors_of(*network))
    bare[name.starts_with("model.") ? name.substr(6) : name] = tensor;
  write(llama(), bare);
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
}

TEST_F(Checkpoint, known_buffers_and_a_tied_head_are_not_unexpected) {
  const auto network = made(llama());
  TensorMap tensors = tensors_of(*network);
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({2});
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
  write(llama(), tensors);
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
  tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1;
  write(llama(), tensors);
  expect_refused(ErrorKind::kData, "though config.json ties them");
}

TEST_F(Checkpoint, flat_names_of_mobilenet_load_to_the_same_network) {
  const auto network = made(mobilenet());
  TensorMap flat;
  for (const auto& [name, tensor] : tensors_of(*network)) {
    std::string other = name;
    for (const auto& [ours, theirs] :
         std::vector<std::pair<std::string, std::string>>{{".conv.0.0.", ".conv.0."},
                                                          {".conv.0.1.", ".conv.1."},
                                                          {".conv.1.0.", ".conv.3."},
                                                          {".conv.1.1.", ".conv.4."},
                                                          {".conv.2.", ".conv.6."},
                                                          {".conv.3.", ".conv.7."}}) {
      const std::size_t at = name.find(ours);
      if (at == std::string::npos) continue;
      other = name.substr(0, at) + theirs + name.substr(at + ours.size());
      break;
    }
    // The first block has no expansion: its projection follows the depthwise step at once.
    if (name.starts_with("features.1.conv.1.")) other = "features.1.conv.3." + name.substr(18);
    if (name.starts_with("features.1.conv.2.")) other = "features.1.conv.4." + name.substr(18);
    flat[other] = tensor;
  }
  ASSERT_TRUE(flat.contains("features.2.conv.7.running_mean"));
  write(mobilenet(), flat);
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
}

TEST_F(Checkpoint, original_names_of_layer_scale_are_understood) {
  Json configuration = vit();
  configuration["layer_scale"] = true;
  const auto network = made(configuration);
  TensorMap tensors = tensors_of(*network);
  for (const auto& [ours, theirs] : {std::pair{"blocks.0.ls1.gamma", "blocks.0.gamma_1"},
                                     {"blocks.0.ls2.gamma", "blocks.0.gamma_2"}}) {
    tensors[theirs] = tensors.at(ours);
    tensors.erase(ours);
  }
  write(configuration, tensors);
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
}

TEST_F(Checkpoint, missing_unexpected_and_misshapen_tensors_are_listed_in_one_error) {
  TensorMap tensors = tensors_of(*made(vit()));
  tensors.erase("norm.bias");
  tensors["stranger"] = at::ones({1});
  tensors["head.weight"] = at::ones({4, 8});
  write(vit(), tensors);
  expect_refused(ErrorKind::kData, "1 missing: norm.bias");
  expect_refused(ErrorKind::kData, "1 unexpected: stranger");
  expect_refused(ErrorKind::kData, "'head.weight' is [4, 8], not [3, 8]");
}

TEST_F(Checkpoint, a_prefix_that_nobody_knows_is_named) {
  Json configuration = llama();
  configuration["tie_word_embeddings"] = false;
  TensorMap wrapped;
  for (const auto& [name, tensor] : tensors_of(*made(configuration)))
    wrapped["_orig_mod." + name] = tensor;
  write(configuration, wrapped);
  expect_refused(ErrorKind::kData, "every name begins with '_orig_mod.'");
  EXPECT_THAT(refusal([&] { load_network(checkpoint_on_disk(folder_)); }),
              ::testing::Not(HasSubstr("ties them")));
}

TEST_F(Checkpoint, an_absent_head_is_told_with_what_may_be_meant) {
  Json configuration = llama();
  TensorMap tensors = tensors_of(*made(configuration));
  configuration["tie_word_embeddings"] = false;
  write(configuration, tensors);
  expect_refused(ErrorKind::kData, "write \"tie_word_embeddings\": true");
}

TEST_F(Checkpoint, headers_tell_what_loading_would) {
  write(llama(), tensors_of(*made(llama())));
  const NetworkHeaders whole = read_headers(checkpoint_on_disk(folder_), "llama");
  EXPECT_TRUE(whole.problems.empty());
  ASSERT_NE(whole.network, nullptr);
  EXPECT_EQ(whole.dtype, "F32");
  EXPECT_EQ(whole.bytes, 4 * whole.parameters);
  TensorMap tensors = tensors_of(*made(llama()));
  tensors.erase("model.norm.weight");
  write(llama(), tensors);
  const NetworkHeaders less = read_headers(checkpoint_on_disk(folder_), "llama");
  ASSERT_EQ(less.problems.size(), 1u);
  EXPECT_THAT(less.problems[0].what(), HasSubstr("1 missing: model.norm.weight"));
  expect_refused(less.problems[0].kind(), less.problems[0].what());
}

TEST_F(Checkpoint, integer_weights_are_refused) {
  TensorMap tensors = tensors_of(*made(vit()));
  tensors["head.weight"] = at::ones({3, 8}, at::kInt);
  write(vit(), tensors);
  expect_refused(ErrorKind::kData, "'head.weight' is I32, not a floating dtype");
}

TEST_F(Checkpoint, one_tensor_under_two_names_is_refused) {
  TensorMap tensors = tensors_of(*made(vit()));
  tensors["module.head.weight"] = tensors["head.weight"];
  write(vit(), tensors);
  expect_refused(ErrorKind::kData, "are the same tensor");
}

TEST_F(Checkpoint, a_truncated_file_is_refused) {
  write(vit(), tensors_of(*made(vit())));
  fs::resize_file(folder_ / "model.safetensors", fs::file_size(folder_ / "model.safetensors") - 5);
  expect_refused(ErrorKind::kData, "truncated");
  fs::resize_file(folder_ / "model.safetensors", 4);
  expect_refused(ErrorKind::kData, "not a valid safetensors file");
}

TEST_F(Checkpoint, other_containers_are_refused_with_advice) {
  write_file_atomically(folder_ / "config.json", vit().dump());
  write_file_atomically(folder_ / "pytorch_model.bin", "PK");
  expect_refused(ErrorKind::kUnsupported, "convert this one");
  expect_error(ErrorKind::kUnsupported, "section Conversion",
               [&] { load_network(checkpoint_on_disk(folder_ / "pytorch_model.bin")); });
}

TEST_F(Checkpoint, a_folder_without_configuration_or_weights_is_refused) {
  expect_refused(ErrorKind::kData, "has no config.json");
  write_file_atomically(folder_ / "config.json", vit().dump());
  expect_refused(ErrorKind::kData, "has neither model.safetensors nor");
  expect_error(ErrorKind::kConfig, "no such checkpoint",
               [&] { load_network(checkpoint_on_disk(folder_ / "nothing.safetensors")); });
}

}  // namespace
}  // namespace assay::models
