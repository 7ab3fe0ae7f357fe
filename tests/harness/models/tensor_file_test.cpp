#include "harness/models/tensor_file.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "harness/models/random_tensor.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::models {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;

class TensorFile : public ::testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(TensorFile, every_dtype_comes_back_bit_for_bit) {
  TensorMap tensors;
  const at::Tensor base = at::arange(24).reshape({2, 3, 4});
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kLong,
                                    at::kInt, at::kShort, at::kChar, at::kByte, at::kBool})
    tensors[at::toString(type)] = base.to(type);
  tensors["scalar"] = at::full({}, 2.5);
  tensors["nothing"] = at::empty({0, 3});
  save_tensors(folder_ / "all.safetensors", tensors);
  const TensorMap loaded = load_tensors(folder_ / "all.safetensors");
  ASSERT_EQ(loaded.size(), tensors.size());
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(loaded.at(name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(loaded.at(name), tensor)) << name;
  }
}

TEST_F(TensorFile, transposed_tensors_are_written_as_they_read) {
  const at::Tensor t = at::arange(6).reshape({2, 3}).t();
  save_tensors(folder_ / "t.safetensors", {{"t", t}});
  EXPECT_TRUE(at::equal(load_tensors(folder_ / "t.safetensors").at("t"), t));
}

TEST_F(TensorFile, a_loaded_tensor_may_change_and_the_file_does_not) {
  save_tensors(folder_ / "x.safetensors", {{"x", at::ones({64})}});
  load_tensors(folder_ / "x.safetensors").at("x").fill_(3);
  EXPECT_TRUE(at::equal(load_tensors(folder_ / "x.safetensors").at("x"), at::ones({64})));
}

TEST_F(TensorFile, misaligned_tensors_are_copied_to_aligned_memory) {
  // "a" has 4 bytes, so "b" starts 4 bytes past an aligned address.
  save_tensors(folder_ / "m.safetensors", {{"a", at::ones({1})}, {"b", at::ones({16})}});
  for (const auto& [name, tensor] : load_tensors(folder_ / "m.safetensors"))
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 64, 0u) << name;
}

// Of pages that are dropped the file gives the values again; the neighbours on their pages stay.
TEST_F(TensorFile, dropped_pages_are_read_again) {
  const at::Tensor x = at::arange(10000).to(at::kFloat);
  save_tensors(folder_ / "x.safetensors", {{"x", x}, {"y", at::ones({16})}});
  const TensorMap loaded = load_tensors(folder_ / "x.safetensors");
  loaded.at("y").fill_(3);
  drop_pages(loaded.at("x"));
  EXPECT_TRUE(loaded.at("x").equal(x));
  EXPECT_TRUE(loaded.at("y").equal(at::full({16}, 3)));
  const at::Tensor own = at::ones({10000});
  drop_pages(own);
  EXPECT_TRUE(own.equal(at::ones({10000})));
}

TEST_F(TensorFile, complex_tensors_are_refused) {
  EXPECT_THAT(refusal([&] {
                save_tensors(folder_ / "c.safetensors", {{"c", at::zeros({2}, at::kComplexFloat)}});
              }),
              ::testing::StartsWith("unsupported: "));
}

TEST(RandomTensor, equal_streams_give_equal_bits_and_the_asked_moments) {
  Philox a(3, "x");
  Philox b(3, "x");
  const at::Tensor x = normal_tensor(a, {100, 100}, 1.0, 2.0);
  EXPECT_TRUE(at::equal(x, normal_tensor(b, {100, 100}, 1.0, 2.0)));
  EXPECT_NEAR(x.mean().item<double>(), 1.0, 0.06);
  EXPECT_NEAR(x.std().item<double>(), 2.0, 0.06);
  const at::Tensor u = uniform_tensor(a, {1000}, -1.0, 3.0, at::kDouble);
  EXPECT_GE(u.min().item<double>(), -1.0);
  EXPECT_LT(u.max().item<double>(), 3.0);
}

}  // namespace
}  // namespace assay::models
