#pragma once

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/network.h"
#include "harness/models/tensor_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::models {

// Small networks, and a folder that their checkpoints lie in.
class Checkpoint : public ::testing::Test {
 protected:
  static Json vit() {
    return {{"architecture", "vit"}, {"img_size", 16}, {"patch_size", 8},
            {"embed_dim", 8},        {"depth", 1},     {"num_heads", 2},
            {"num_classes", 3}};
  }
  static Json llama() {
    return {{"model_type", "llama"},      {"vocab_size", 11},       {"hidden_size", 8},
            {"intermediate_size", 12},    {"num_hidden_layers", 1}, {"num_attention_heads", 2},
            {"tie_word_embeddings", true}};
  }
  static Json mobilenet() {
    return {{"architecture", "mobilenet_v2"}, {"width_mult", 0.1}, {"num_classes", 3}};
  }

  static std::unique_ptr<Network> made(const Json& configuration) {
    auto network = make_network(family_of(configuration), configuration);
    initialise(*network, 11);
    return network;
  }

  static TensorMap tensors_of(const Network& network) {
    TensorMap tensors;
    for (const ParameterTable* table : {&network.parameters(), &network.buffers()})
      for (const auto& [name, slot] : table->slots()) tensors[name] = *slot;
    return tensors;
  }

  void write(const Json& configuration, const TensorMap& tensors) {
    write_file_atomically(folder_ / "config.json", configuration.dump());
    save_tensors(folder_ / "model.safetensors", tensors);
  }

  static void expect_equal(const Network& a, const Network& b) {
    const TensorMap left = tensors_of(a);
    const TensorMap right = tensors_of(b);
    ASSERT_EQ(left.size(), right.size());
    for (const auto& [name, tensor] : left) EXPECT_TRUE(at::equal(tensor, right.at(name))) << name;
  }

  static void expect_error(ErrorKind kind, const std::string& text,
                           const std::function<void()>& action) {
    EXPECT_THAT(assay::testing::refusal(action),
                ::testing::AllOf(::testing::StartsWith(std::string(name_of(kind)) + ": "),
                                 ::testing::HasSubstr(text)));
  }

  void expect_refused(ErrorKind kind, const std::string& text) {
    expect_error(kind, text, [&] { load_network(checkpoint_on_disk(folder_)); });
  }

  TemporaryFolder folder_;
};

}  // namespace assay::models
