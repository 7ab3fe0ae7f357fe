#include "methods/quarot/rotation.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "harness/formats/checkpoint_layout.h"
#include "harness/models/block_rotation.h"
#include "harness/models/generation.h"
#include "methods/quant/canary.h"
#include "methods/quant/sequential.h"
#include "methods/quant/two_sided.h"
#include "tests/harness/models/network_cases.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::quarot {
namespace {

using models::Network;
using ::testing::HasSubstr;
using testing::refusal;

Json llama_configuration(const Json& given = Json::object()) {
  Json all = {{"model_type", "llama"},    {"vocab_size", 40},
              {"hidden_size", 24},        {"intermediate_size", 40},
              {"num_hidden_layers", 2},   {"num_attention_heads", 6},
              {"num_key_value_heads", 2}, {"max_position_embeddings", 32}};
  all.update(given);
  return all;
}

Json opt_configuration(const Json& given = Json::object()) {
  Json all = {{"model_type", "opt"},
              {"vocab_size", 40},
              {"hidden_size", 24},
              {"ffn_dim", 56},
              {"num_hidden_layers", 2},
              {"num_attention_heads", 3},
              {"max_position_embeddings", 32}};
  all.update(given);
  return all;
}

// With values everywhere, weights and biases of norms among them.
std::unique_ptr<Network> filled(const Json& configuration, at::ScalarType type = at::kDouble) {
  auto network =
      models::make_network(configuration["model_type"] == "opt" ? "opt" : "llama", configuration);
  models::hash_fill(*network, type);
  return network;
}

at::Tensor tokens(std::int64_t rows, std::int64_t length) {
  return (at::arange(rows * length) * 7).remainder(40).reshape({rows, length});
}

std::unique_ptr<Network> rotated_by(const Network& network, RotationKind kind,
                                    std::uint64_t seed = 1) {
  return rotated(network, Rotation(kind, residual_width(network), seed));
}

at::Tensor matrix_of(RotationKind kind, std::int64_t width, std::uint64_t seed) {
  return Rotation(kind, width, seed)(at::eye(width, at::kDouble));
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return (a - b).abs().max().item<double>();
}

class Rotated : public ::testing::TestWithParam<RotationKind> {
 protected:
  const at::NoGradGuard no_gradients_;
};

INSTANTIATE_TEST_SUITE_P(Quarot, Rotated,
                         ::testing::Values(RotationKind::kHadamard, RotationKind::kRandom),
                         [](const auto& each) { return std::string(enum_name(each.param)); });

TEST_P(Rotated, matrices_are_orthogonal_and_of_their_seed) {
  for (const std::int64_t width : {24, 32, 96, 576}) {
    const at::Tensor q = matrix_of(GetParam(), width, 5);
    EXPECT_LT(distance(at::matmul(q, q.t()), at::eye(width, at::kDouble)), 1e-12) << width;
    EXPECT_TRUE(q.equal(matrix_of(GetParam(), width, 5)));
    EXPECT_GT(distance(q, matrix_of(GetParam(), width, 6)), 0.05);
  }
}

TEST_P(Rotated, networks_compute_what_they_did) {
  for (const Json& configuration :
       {llama_configuration(), llama_configuration({{"tie_word_embeddings", true}}),
        llama_configuration({{"attention_bias", true}, {"mlp_bias", true}}),
        llama_configuration({{"model_type", "qwen2"}}),
        llama_configuration({{"num_attention_heads", 4}, {"num_key_value_heads", 4}}),
        llama_configuration(
            {{"num_attention_heads", 9}, {"num_key_value_heads", 3}, {"head_dim", 4}}),
        llama_configuration({{"num_attention_heads", 4}, {"num_key_value_heads", 1}}),
        opt_configuration(), opt_configuration({{"tie_word_embeddings", false}}),
        opt_configuration({{"num_attention_heads", 4}}),
        opt_configuration({{"num_attention_heads", 1}})}) {
    const auto network = filled(configuration);
    const at::Tensor expected = network->forward(tokens(2, 17));
    const auto turned = rotated_by(*network, GetParam());
    EXPECT_LT(distance(turned->forward(tokens(2, 17)), expected),
              1e-9 * expected.abs().max().item<double>())
        << configuration;
    EXPECT_TRUE(network->forward(tokens(2, 17)).equal(expected));
    network->to(at::kFloat);
    const auto rough = rotated_by(*network, GetParam());
    EXPECT_EQ(rough->dtype(), at::kFloat);
    EXPECT_LT(quant::relative_error(rough->forward(tokens(2, 17)).to(at::kDouble), expected), 1e-3)
        << configuration;
  }
}

TEST_P(Rotated, the_residual_stream_is_turned_and_centred) {
  for (const Json& configuration : {llama_configuration(), opt_configuration()}) {
    const auto network = filled(configuration);
    const auto turned = rotated_by(*network, GetParam());
    models::Recorder before, after;
    network->forward(tokens(1, 9), before);
    turned->forward(tokens(1, 9), after);
    EXPECT_EQ(before.order, after.order);
    const Rotation rotation(GetParam(), 24, 1);
    for (const char* site : {"embed.out", "blocks.1.in", "blocks.1.residual1", "norm.in"}) {
      at::Tensor expected = before.values.at(site);
      if (configuration["model_type"] == "opt") expected = expected - expected.mean(-1, true);
      EXPECT_LT(distance(after.values.at(site), rotation(expected)), 1e-9) << site;
    }
    // The sites of the scores' halves see them as they were.
    const std::string keys = network->attention_parts(1)->keys;
    EXPECT_LT(distance(after.values.at(keys), before.values.at(keys)), 1e-9);
    const at::Tensor cache = before.values.at("blocks.1.attn.k.cache");
    EXPECT_LT(distance(after.values.at("blocks.1.attn.k.cache"),
                       turned->attention_parts(1)->rotation->head(cache)),
              1e-9);
  }
}

TEST_P(Rotated, decoding_and_prefixes_see_the_same_network) {
  for (const Json& configuration : {llama_configuration(), opt_configuration()}) {
    const auto network = filled(configuration);
    const auto turned = rotated_by(*network, GetParam());
    const at::Tensor prompt = tokens(1, 3)[0] + 1;
    network->set_prefix(models::prefix_of(*network, prompt));
    turned->set_prefix(models::prefix_of(*turned, prompt));
    const at::Tensor expected = network->forward(tokens(2, 12));
    EXPECT_LT(distance(turned->forward(tokens(2, 12)), expected), 1e-8);
    models::KeyValueCache cache(turned->prefix());
    models::Untapped none;
    const at::Tensor first = turned->decode(tokens(2, 12).narrow(1, 0, 5), cache, none);
    const at::Tensor second = turned->decode(tokens(2, 12).narrow(1, 5, 7), cache, none);
    EXPECT_LT(distance(at::cat({first, second}, 1), expected), 1e-8);
  }
}

TEST_P(Rotated, a_checkpoint_of_the_network_is_read_back_bit_for_bit) {
  for (const Json& configuration :
       {llama_configuration({{"tie_word_embeddings", true}}), opt_configuration()}) {
    const auto turned = rotated_by(*filled(configuration, at::kFloat), GetParam());
    const TemporaryFolder folder;
    models::save_network(*turned, folder.path());
    const auto loaded = models::load_network(checkpoint_on_disk(folder.path()));
    EXPECT_TRUE(loaded->attention_parts(0)->rotation != nullptr);
    for (const auto& [name, slot] : turned->parameters().slots()) {
      EXPECT_TRUE(loaded->parameters().at(name).equal(*slot)) << name;
    }
    EXPECT_TRUE(loaded->forward(tokens(2, 9)).equal(turned->forward(tokens(2, 9))));
  }
}

double kurtosis(const at::Tensor& x) {
  const at::Tensor centred = x - x.mean();
  return (centred.pow(4).mean() / centred.square().mean().square()).item<double>();
}

TEST_P(Rotated, planted_outliers_leave_the_residual_stream) {
  const auto network = quant::canary_network("opt");
  network->parameters().at("model.decoder.embed_positions.weight").select(1, 5).add_(2);
  network->parameters().at("model.decoder.embed_tokens.weight").select(1, 9).mul_(40);
  const at::Tensor inputs = quant::canary_inputs(*network, 8);
  const auto largest = [&](const Network& each) {
    models::Recorder recorder;
    each.forward(inputs, recorder);
    double found = 0;
    for (const char* site : {"blocks.0.in", "blocks.1.in", "norm.in"}) {
      found = std::max(found, kurtosis(recorder.values.at(site)));
    }
    return found;
  };
  EXPECT_GT(largest(*network), 15);
  EXPECT_LT(largest(*rotated_by(*network, GetParam())), 4.5);
}

// What methods that look at attention collect, with a prefix in front.
TEST_P(Rotated, moments_of_rows_are_those_of_the_scores_and_outputs) {
  const auto network = filled(llama_configuration({{"num_attention_heads", 6}}));
  const auto turned = rotated_by(*network, GetParam());
  const auto moments_of = [&](Network& each) {
    each.set_prefix(models::prefix_of(each, tokens(1, 3)[0] + 1));
    std::map<std::string, quant::LayerMoments> found;
    quant::SequentialHooks hooks;
    hooks.quantize = [&](const std::vector<quant::LayerMoments>& layers) {
      for (const quant::LayerMoments& layer : layers) found[layer.layer.name] = layer;
    };
    quant::quantize_sequentially(each, tokens(4, 12),
                                 {.attention_rows = true, .attention_values = true}, hooks);
    return found;
  };
  const auto before = moments_of(*network), after = moments_of(*turned);
  for (const char* layer : {"q_proj", "k_proj"}) {
    const std::string name = std::string("model.layers.1.self_attn.") + layer;
    EXPECT_LT(quant::relative_error(after.at(name).row, before.at(name).row), 1e-9) << layer;
  }
  const models::AttentionParts parts = *turned->attention_parts(1);
  const auto turned_rows = [&](const at::Tensor& m) {  // H M H^T, a head
    return parts.rotation->head(parts.rotation->head(m).transpose(1, 2));
  };
  EXPECT_LT(quant::relative_error(
                quant::rows_of_values(*turned, parts),
                turned_rows(quant::rows_of_values(*network, *network->attention_parts(1)))),
            1e-9);
}

TEST(Rotation, a_hadamard_rotation_has_entries_of_one_size_with_random_signs) {
  const at::Tensor q = matrix_of(RotationKind::kHadamard, 96, 2);
  EXPECT_LT(distance(q.square() * 96, at::ones_like(q)), 1e-12);
  const double positive = q.gt(0).to(at::kDouble).mean().item<double>();
  EXPECT_NEAR(positive, 0.5, 0.1);
}

TEST(Rotation, what_cannot_be_rotated_is_refused_by_size) {
  const auto refused = [](const Json& configuration, RotationKind kind) {
    return refusal([&] { require_rotatable(*filled(configuration), kind); });
  };
  const Json narrow = llama_configuration({{"hidden_size", 30}, {"head_dim", 4}});
  EXPECT_EQ(refused(llama_configuration(), RotationKind::kHadamard), "no error");
  EXPECT_EQ(refused(opt_configuration(), RotationKind::kRandom), "no error");
  EXPECT_EQ(refused(narrow, RotationKind::kRandom), "no error");
  EXPECT_THAT(refused(narrow, RotationKind::kHadamard),
              HasSubstr("write random, which takes any width): the width of the residual stream "
                        "is 30"));
  EXPECT_THAT(refused(llama_configuration({{"intermediate_size", 44}}), RotationKind::kRandom),
              HasSubstr("the width of the MLP is 44"));
  EXPECT_THAT(
      refused(llama_configuration(
                  {{"head_dim", 10}, {"num_attention_heads", 7}, {"num_key_value_heads", 7}}),
              RotationKind::kRandom),
      HasSubstr("the width of the heads together is 70"));
  EXPECT_THAT(refused(llama_configuration({{"rotated", true}}), RotationKind::kRandom),
              HasSubstr("the network is rotated already"));
  const auto vision = quant::canary_network("vit");
  EXPECT_THAT(refusal([&] { require_rotatable(*vision, RotationKind::kRandom); }),
              HasSubstr("networks of family 'vit' have none"));
}

}  // namespace
}  // namespace assay::quarot
