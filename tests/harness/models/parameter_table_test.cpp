#include "harness/models/parameter_table.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <new>

#include "tests/harness/models/checkpoint_fixture.h"

namespace assay::models {
namespace {

// No weight stays made, until the end of a test.
class NothingKept {
 public:
  NothingKept() { limit_kept_weights(0); }
  ~NothingKept() { limit_kept_weights(kDefaultKeptWeights); }
};

// Two weights that are deferred, and count how often they are made.
class Table {
 public:
  explicit Table(double value = 1) {
    parameters.add("a", &a);
    parameters.add("b", &b);
    parameters.allow_deferring(names);
    parameters.defer("a", at::kFloat, [this, value] { return ++made, at::full({2, 3}, value); });
    parameters.defer("b", at::kFloat, [this, value] { return ++made, at::full({4}, value); });
  }

  int made = 0;
  at::Tensor a = at::empty({2, 3}), b = at::empty({4});
  const std::vector<std::string> names = {"a", "b"};
  ParameterTable parameters;
};

TEST(ParameterTable, a_deferred_parameter_is_a_shape_that_has_values_when_it_is_read) {
  Table table;
  EXPECT_TRUE(table.a.is_meta());
  EXPECT_EQ(table.parameters.shape("a").sizes(), at::IntArrayRef({2, 3}));
  EXPECT_EQ(table.made, 0);
  EXPECT_TRUE(table.parameters.value("a").equal(at::ones({2, 3})));
  EXPECT_TRUE(table.a.is_meta());
}

TEST(ParameterTable, what_may_be_changed_is_made_once_and_stays) {
  const NothingKept nothing_kept;
  Table table;
  table.parameters.at("a").mul_(3);
  { const WeightHold held(table.parameters, table.names); }
  EXPECT_TRUE(table.parameters.at("a").equal(at::full({2, 3}, 3)));
  EXPECT_FALSE(table.parameters.slots().at("b")->is_meta());
  EXPECT_EQ(table.made, 3);  // b for the hold, too
}

TEST(ParameterTable, values_last_as_long_as_the_longest_hold) {
  const NothingKept nothing_kept;
  Table table;
  {
    const WeightHold outer(table.parameters, table.names);
    EXPECT_TRUE(table.a.equal(at::ones({2, 3})));
    { const WeightHold inner(table.parameters, table.names); }
    EXPECT_FALSE(table.a.is_meta());
    EXPECT_EQ(table.made, 2);
  }
  EXPECT_TRUE(table.a.is_meta());
  { const WeightHold again(table.parameters, table.names); }
  EXPECT_EQ(table.made, 4);
}

TEST(ParameterTable, what_is_deferred_while_it_is_held_has_values_at_once) {
  const NothingKept nothing_kept;
  Table table;
  {
    const WeightHold held(table.parameters, table.names);
    table.parameters.at("a") = at::zeros({2, 3});
    table.parameters.defer("a", at::kDouble, [] { return at::full({2, 3}, 7, at::kDouble); });
    EXPECT_TRUE(table.a.equal(at::full({2, 3}, 7, at::kDouble)));
  }
  EXPECT_TRUE(table.a.is_meta());
  EXPECT_EQ(table.a.scalar_type(), at::kDouble);
}

TEST(ParameterTable, changes_are_made_to_every_value_that_is_made) {
  const NothingKept nothing_kept;
  Table table;
  const auto doubled = [](const at::Tensor& value) { return value * 2; };
  table.parameters.update("a", at::kFloat, doubled);
  table.parameters.update("a", at::kFloat, doubled);
  EXPECT_EQ(table.made, 0);
  EXPECT_TRUE(table.parameters.value("a").equal(at::full({2, 3}, 4)));
  table.parameters.at("b");
  table.parameters.update("b", at::kFloat, doubled);
  EXPECT_TRUE(table.b.equal(at::full({4}, 2)));
}

TEST(ParameterTable, a_hold_that_cannot_be_had_leaves_nothing_behind) {
  const NothingKept nothing_kept;
  Table table;
  table.parameters.defer("b", at::kFloat, []() -> at::Tensor { throw std::bad_alloc(); });
  EXPECT_THROW(WeightHold(table.parameters, table.names), std::bad_alloc);
  EXPECT_TRUE(table.a.is_meta());
  table.parameters.defer("b", at::kFloat, [] { return at::ones({4}); });
  { const WeightHold held(table.parameters, table.names); }
  EXPECT_TRUE(table.a.is_meta());
}

TEST(ParameterTable, kept_weights_are_made_once_and_give_way_to_those_of_other_networks) {
  limit_kept_weights(2 * 6 * 4 + 4 * 4);  // two of "a" and one of "b"
  {
    Table first, second, third;
    const auto use = [](Table& table) { const WeightHold held(table.parameters, table.names); };
    use(first), use(first);
    EXPECT_EQ(first.made, 2);
    use(second);  // takes the place of what was used longest ago
    EXPECT_TRUE(first.a.is_meta());
    EXPECT_FALSE(first.b.is_meta());
    EXPECT_FALSE(second.a.is_meta());
    use(third);
    EXPECT_TRUE(first.b.is_meta());
    EXPECT_TRUE(second.a.is_meta());
  }
  Table last;  // networks that are gone keep nothing
  limit_kept_weights(6 * 4);
  { const WeightHold held(last.parameters, last.names); }
  EXPECT_FALSE(last.a.is_meta());
  EXPECT_TRUE(last.b.is_meta());  // a network does not drive out its own
  limit_kept_weights(kDefaultKeptWeights);
}

// A kept value outlives the pass that made it, which may have been one without gradients.
TEST(ParameterTable, values_that_were_made_in_inference_mode_may_be_changed_later) {
  Table table;
  {
    const c10::InferenceMode inference;
    const WeightHold held(table.parameters, table.names);
  }
  EXPECT_FALSE(table.a.is_inference());
  table.parameters.at("a").mul_(2).set_requires_grad(true);
}

Json deep(Json configuration) {
  configuration["num_hidden_layers"] = 3;
  return configuration;
}

// A pass over a loaded network and over one that was converted as a whole.
TEST_F(Checkpoint, deferred_weights_give_the_bits_of_whole_networks) {
  for (const bool kept : {true, false}) {
    limit_kept_weights(kept ? kDefaultKeptWeights : 0);
    for (const bool tied : {true, false}) {
      Json configuration = deep(llama());
      configuration["tie_word_embeddings"] = tied;
      const auto whole = made(configuration);
      whole->to(at::kBFloat16);
      save_network(*whole, folder_);
      const auto loaded = load_network(checkpoint_on_disk(folder_));
      for (const at::ScalarType type : {at::kBFloat16, at::kFloat, at::kDouble}) {
        whole->to(type);
        loaded->to(type);
        EXPECT_EQ(loaded->dtype(), type);
        const at::Tensor tokens = at::arange(10).reshape({2, 5});
        EXPECT_TRUE(at::equal(whole->forward(tokens), loaded->forward(tokens)));
        EXPECT_TRUE(at::equal(whole->forward(tokens), loaded->forward(tokens)));
        const std::string weight = "model.layers.1.mlp.up_proj.weight";
        EXPECT_EQ(loaded->parameters().shape(weight).is_meta(), !kept);
        KeyValueCache one, other;
        Untapped nothing;
        EXPECT_TRUE(
            at::equal(whole->decode(tokens, one, nothing), loaded->decode(tokens, other, nothing)));
      }
      expect_equal(*whole, *loaded);
    }
  }
  limit_kept_weights(kDefaultKeptWeights);
}

// Other libraries pad the header to 8 bytes, so tensors begin anywhere.
TEST_F(Checkpoint, misaligned_weights_are_deferred_too) {
  const NothingKept nothing_kept;
  const auto whole = made(deep(llama()));
  TensorMap tensors = tensors_of(*whole);
  save_tensors(folder_ / "model.safetensors", tensors);
  const std::string content = read_file(folder_ / "model.safetensors");
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), sizeof length);
  const std::uint64_t longer = length + 8;
  write_file_atomically(folder_ / "model.safetensors",
                        std::string(reinterpret_cast<const char*>(&longer), sizeof longer) +
                            content.substr(8, length) + "        " + content.substr(8 + length));
  write_file_atomically(folder_ / "config.json", deep(llama()).dump());
  const auto loaded = load_network(checkpoint_on_disk(folder_));
  const at::Tensor tokens = at::arange(10).reshape({2, 5});
  EXPECT_TRUE(at::equal(whole->forward(tokens), loaded->forward(tokens)));
  const WeightHold held = loaded->hold(1);
  EXPECT_TRUE(is_aligned(loaded->parameters().shape("model.layers.1.mlp.up_proj.weight")));
}

}  // namespace
}  // namespace assay::models
