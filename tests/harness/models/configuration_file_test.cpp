#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "tests/harness/models/checkpoint_fixture.h"

namespace assay::models {
namespace {

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
