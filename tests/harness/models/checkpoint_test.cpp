#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/headers.h"
#include "harness/models/tensor_file.h"
#include "tests/harness/models/network_cases.h"
#include "tests/support/temporary_folder.h"

namespace assay::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Checkpoint : public testing::Test {
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

  template <typename Action>
  static void expect_error(ErrorKind kind, const std::string& text, Action action) {
    try {
      action();
      ADD_FAILURE() << "no error; expected: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }

  void expect_refused(ErrorKind kind, const std::string& text) {
    expect_error(kind, text, [&] { load_network(checkpoint_on_disk(folder_)); });
  }

  TemporaryFolder folder_;
};

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
  try {
    load_network(checkpoint_on_disk(folder_));
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::Not(HasSubstr("ties them")));
  }
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

class ShardedCheckpoint : public Checkpoint {
 protected:
  void shard(const Json& weight_map) {
    write_file_atomically(folder_ / "config.json", vit().dump());
    write_file_atomically(folder_ / "model.safetensors.index.json",
                          Json{{"metadata", Json::object()}, {"weight_map", weight_map}}.dump());
  }

  // Two shards and the map that belongs to them.
  Json split(const TensorMap& tensors) {
    TensorMap parts[2];
    Json map = Json::object();
    std::size_t i = 0;
    for (const auto& [name, tensor] : tensors) {
      const std::size_t part = i++ % 2;
      parts[part][name] = tensor;
      map[name] = part == 0 ? "a.safetensors" : "b.safetensors";
    }
    save_tensors(folder_ / "a.safetensors", parts[0]);
    save_tensors(folder_ / "b.safetensors", parts[1]);
    return map;
  }
};

TEST_F(ShardedCheckpoint, shards_load_as_one) {
  const auto network = made(vit());
  shard(split(tensors_of(*network)));
  expect_equal(*network, *load_network(checkpoint_on_disk(folder_)));
}

TEST_F(ShardedCheckpoint, an_index_cannot_leave_its_folder) {
  for (const std::string path : {"../a.safetensors", "/etc/passwd", "x/a.safetensors", "", ".",
                                 "..", "a.bin", "..\\a.safetensors/"}) {
    Json map = split(tensors_of(*made(vit())));
    map["head.weight"] = path;
    shard(map);
    expect_refused(ErrorKind::kData, "is not the plain name");
  }
}

TEST_F(ShardedCheckpoint, an_index_that_lies_is_refused) {
  Json map = split(tensors_of(*made(vit())));
  Json moved = map;
  moved["head.weight"] = map["head.weight"] == "a.safetensors" ? "b.safetensors" : "a.safetensors";
  shard(moved);
  expect_refused(ErrorKind::kData, "does not lie in its shard");
  Json absent = map;
  absent["head.weight"] = "c.safetensors";
  shard(absent);
  expect_refused(ErrorKind::kData, "the shard 'c.safetensors', which is not there");
  Json number = map;
  number["head.weight"] = 3;
  shard(number);
  expect_refused(ErrorKind::kData, "is not a name");
  shard(Json::object());
  expect_refused(ErrorKind::kData, "has no 'weight_map'");
  save_tensors(folder_ / "b.safetensors", load_tensors(folder_ / "a.safetensors"));
  shard(map);
  expect_refused(ErrorKind::kData, "in another shard too");
}

class ConfigurationFile : public Checkpoint {
 protected:
  static void expect_rejected(Json configuration, const std::string& field, const Json& value,
                              const std::string& text, ErrorKind kind = ErrorKind::kConfig) {
    if (value.is_discarded())
      configuration.erase(field);
    else
      configuration[field] = value;
    expect_error(kind, text, [&] { make_network(family_of(configuration), configuration); });
  }
  static Json opt() {
    return {{"model_type", "opt"}, {"vocab_size", 11},       {"hidden_size", 8},
            {"ffn_dim", 12},       {"num_hidden_layers", 1}, {"num_attention_heads", 2}};
  }
  static Json none() { return Json(Json::value_t::discarded); }
};

TEST_F(ConfigurationFile, missing_wrong_and_absurd_fields_are_named) {
  expect_rejected(vit(), "depth", none(), "'depth'");
  expect_rejected(vit(), "depth", -3, "'depth'");
  expect_rejected(vit(), "depth", 2.5, "'depth'");
  expect_rejected(vit(), "depth", "two", "'depth'");
  expect_rejected(vit(), "depth", 1'000'000'000, "'depth'");
  expect_rejected(vit(), "num_classes", std::numeric_limits<std::int64_t>::max(), "'num_classes'");
  expect_rejected(vit(), "num_classes", std::numeric_limits<std::uint64_t>::max(), "'num_classes'");
  expect_rejected(vit(), "img_size", 0, "'img_size'");
  expect_rejected(vit(), "img_size", 20, "not a multiple of patch_size");
  expect_rejected(vit(), "num_heads", 3, "not a multiple of num_heads");
  expect_rejected(vit(), "mean", {0.5}, "has 1 values for 3 channels");
  expect_rejected(vit(), "std", {0.0, 1.0, 1.0}, "'std'");
  expect_rejected(vit(), "norm_eps", std::numeric_limits<double>::quiet_NaN(), "'norm_eps'");
  expect_rejected(vit(), "mlp_ratio", std::numeric_limits<double>::infinity(), "'mlp_ratio'");
  expect_rejected(llama(), "vocab_size", none(), "'vocab_size'");
  expect_rejected(llama(), "hidden_size", 7, "not a multiple of num_attention_heads");
  expect_rejected(llama(), "num_key_value_heads", 5, "not a multiple of num_key_value_heads");
  expect_rejected(llama(), "head_dim", 3, "not even");
  expect_rejected(llama(), "rms_norm_eps", -1, "'rms_norm_eps'");
  expect_rejected(llama(), "rope_scaling", {{"type", "linear"}}, "needs a positive number");
  expect_rejected(opt(), "ffn_dim", 0, "'ffn_dim'");
  expect_rejected(opt(), "num_hidden_layers", Json::array(), "'num_hidden_layers'");
}

TEST_F(ConfigurationFile, what_is_not_offered_is_refused_with_the_reason) {
  const ErrorKind unsupported = ErrorKind::kUnsupported;
  expect_rejected(opt(), "do_layer_norm_before", false, "opt-350m", unsupported);
  expect_rejected(opt(), "word_embed_proj_dim", 4, "opt-350m", unsupported);
  expect_rejected(opt(), "activation_function", "gelu", "ReLU", unsupported);
  expect_rejected(opt(), "enable_bias", false, "biases", unsupported);
  expect_rejected(opt(), "_remove_final_layer_norm", true, "last norm", unsupported);
  expect_rejected(llama(), "sliding_window", 64, "whole sequence", unsupported);
  expect_rejected(llama(), "hidden_act", "gelu", "SwiGLU", unsupported);
  expect_rejected(llama(), "is_causal", false, "what came before", unsupported);
  expect_rejected(llama(), "rope_scaling", {{"rope_type", "yarn"}, {"factor", 2}}, "yarn",
                  unsupported);
  expect_rejected(llama(), "quantization_config", {{"bits", 4}}, "quantized already", unsupported);
  expect_rejected(llama(), "model_type", "qwen3", "qwen3", unsupported);
  expect_rejected(vit(), "global_pool", "avg", "class token", unsupported);
  expect_rejected(vit(), "reg_tokens", 4, "register", unsupported);
  expect_rejected(vit(), "architecture", "swin_tiny_patch4_window7_224", "swin_tiny", unsupported);
}

TEST_F(ConfigurationFile, another_network_with_the_same_tensor_names_is_refused_by_the_family_too) {
  for (const char* type : {"granite", "smollm3", "ernie4_5", "helium", "qwen3", "phi3", "opt"}) {
    Json other = llama();
    other["model_type"] = type;
    expect_error(ErrorKind::kUnsupported, fmt::format("'model_type' is \"{}\"", type),
                 [&] { make_network("llama", other); });
  }
  for (const char* name :
       {"LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "LlamaModel"}) {
    Json untyped = llama();
    untyped.erase("model_type");
    untyped["architectures"] = {name};
    EXPECT_NO_THROW(make_network("llama", untyped)) << name;
  }
  for (const char* name : {"GraniteForCausalLM", "Qwen3ForCausalLM", "OPTForCausalLM"}) {
    Json untyped = llama();
    untyped.erase("model_type");
    untyped["architectures"] = {name};
    expect_error(ErrorKind::kUnsupported, fmt::format("'architectures' has \"{}\"", name),
                 [&] { make_network("llama", untyped); });
  }
  Json other = vit();
  other["architecture"] = "vit_base_patch16_clip_224";
  expect_error(ErrorKind::kUnsupported, "'architecture' is \"vit_base_patch16_clip_224\"",
               [&] { make_network("vit", other); });
  other.erase("architecture");
  other.erase("model_type");
  EXPECT_NO_THROW(make_network("vit", other));  // names none
}

TEST_F(ConfigurationFile, rope_parameters_and_the_fields_before_them_must_agree) {
  const auto with = [](const Json& fields) {
    Json configuration = llama();
    configuration.update(fields);
    return configuration;
  };
  const auto refused = [&](const Json& fields, const std::string& message) {
    expect_error(ErrorKind::kConfig, message, [&] { make_network("llama", with(fields)); });
  };
  const Json linear = {{"rope_type", "linear"}, {"factor", 4.0}};
  refused({{"rope_parameters", {{"rope_type", "default"}}}, {"rope_scaling", linear}},
          "'rope_scaling' is {\"factor\":4.0");
  refused({{"rope_parameters", {{"rope_theta", 1e6}}}, {"rope_theta", 1e4}}, "'rope_theta' is 1");
  EXPECT_NO_THROW(
      make_network("llama", with({{"rope_parameters", linear}, {"rope_scaling", linear}})));
  EXPECT_NO_THROW(make_network(
      "llama", with({{"rope_parameters", {{"rope_theta", 100.0}}}, {"rope_theta", nullptr}})));
  expect_error(ErrorKind::kUnsupported, "'partial_rotary_factor' is 0.5", [&] {
    make_network("llama", with({{"rope_parameters", {{"partial_rotary_factor", 0.5}}}}));
  });
}

TEST_F(ConfigurationFile, a_network_that_no_machine_holds_is_refused_before_memory_is_asked_for) {
  Json giant = llama();
  giant["hidden_size"] = 65536;
  giant["intermediate_size"] = 1 << 20;
  giant["num_hidden_layers"] = 1024;
  expect_error(ErrorKind::kConfig, "more than", [&] { make_network("llama", giant); });
}

TEST_F(ConfigurationFile, a_hostile_configuration_beside_small_weights_allocates_nothing) {
  write(vit(), tensors_of(*made(vit())));
  Json wide = vit();
  wide["embed_dim"] = 65536;
  write_file_atomically(folder_ / "config.json", wide.dump());
  expect_refused(ErrorKind::kData, "'blocks.0.attn.proj.bias' is [8], not [65536]");
}

TEST_F(ConfigurationFile, text_that_is_no_object_is_refused) {
  write(vit(), tensors_of(*made(vit())));
  for (const std::string text : {"", "[1]", "3", "{\"depth\":", "{\"depth\": NaN}", "null"}) {
    write_file_atomically(folder_ / "config.json", text);
    EXPECT_THROW(load_network(checkpoint_on_disk(folder_)), Error) << text;
  }
  expect_error(ErrorKind::kConfig, "did you mean 'llama'", [&] { make_network("lama", llama()); });
}

TEST_F(ConfigurationFile, every_family_is_in_the_catalogue_with_documented_fields) {
  EXPECT_EQ(families().size(), 6u);
  for (const FamilyDeclaration& family : families()) {
    EXPECT_FALSE(family.title.empty());
    EXPECT_FALSE(family.model_types.empty());
    for (const ParameterSchema& field : family.configuration) EXPECT_FALSE(field.doc.empty());
  }
}

}  // namespace
}  // namespace assay::models
