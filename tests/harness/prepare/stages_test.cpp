#include "harness/prepare/stages.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include "datasets/sampling.h"
#include "harness/models/tensor_file.h"
#include "tests/harness/prepare/given_data.h"
#include "tests/support/refusal.h"

namespace assay::prepare {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

class Prepare : public ::testing::Test {
 protected:
  TemporaryFolder root_;
};

TEST_F(Prepare, hidden_bytes_of_a_text_are_told_and_enter_the_fingerprint) {
  const Json plain = tokenized(root_, "a b\n");
  EXPECT_FALSE(plain.contains("note"));
  const Json marked = tokenized(root_,
                                "\xef\xbb\xbf"
                                "a b\r\n");
  EXPECT_EQ(marked.at("metrics").at("tokens"), 8);
  EXPECT_EQ(marked.at("fingerprint").at("carriage_returns"), 1);
  EXPECT_EQ(marked.at("fingerprint").at("byte_order_marks"), 1);
  EXPECT_NE(marked.at("note").get<std::string>().find("1 carriage return (CR LF"),
            std::string::npos);
}

TEST_F(Prepare, calibration_windows_and_images_are_found_by_methods) {
  tokenized(root_, std::string(300, 'x'));
  FakeContext windows;
  windows.folder = root_ / "windows";
  windows.inputs["tokens"] = root_ / "tokens";
  windows.recipe_json = {{"parameters", {{"samples", 5}, {"context", 64}}}, {"seed", 1}};
  windows.run(sample_calibration);
  const at::Tensor tokens =
      models::load_tensors(windows.folder / datasets::kWindowsFile).at(datasets::kWindowsName);
  EXPECT_EQ(tokens.sizes(), (at::IntArrayRef{5, 64}));

  FakeContext images;
  give_images(images, root_);
  images.folder = root_ / "images";
  images.recipe_json["parameters"] = {{"samples", 4}};
  images.recipe_json["seed"] = 0;
  images.run(sample_images);
  const models::TensorMap batch = models::load_tensors(images.folder / datasets::kImagesFile);
  EXPECT_EQ(batch.at("images").sizes(), (at::IntArrayRef{4, 3, 32, 32}));
  EXPECT_EQ(batch.at("labels").sizes(), (at::IntArrayRef{4}));
}

TEST_F(Prepare, a_recipe_that_lacks_something_names_it) {
  FakeContext context;
  EXPECT_THAT(refusal([&] { context.run(sample_images); }), HasSubstr("the recipe lacks 'data'"));
  give_text(context, root_, "abc");
  context.recipe_json["model"] = {{"config", {{"vocab_size", 300}}}};
  EXPECT_THAT(refusal([&] { context.run(tokenize); }), HasSubstr("the model has no tokenizer"));
}

// Raise the stages' revisions when these numbers move on purpose.
TEST_F(Prepare, golden_output_of_revisions_4_1_2) {
  const std::vector<StageImplementation> all = stages();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].declaration.revision, 4);
  EXPECT_EQ(all[1].declaration.revision, 1);
  EXPECT_EQ(all[2].declaration.revision, 2);
  std::string text;
  for (int i = 0; i < 400; ++i) text += static_cast<char>('a' + i * i % 26);
  tokenized(root_, text);
  FakeContext windows({{"samples", 3}, {"context", 32}}, 7);
  windows.inputs["tokens"] = root_ / "tokens";
  windows.run(sample_calibration);
  FakeContext images({{"samples", 4}}, 7);
  give_images(images, root_);
  images.run(sample_images);
  EXPECT_EQ(sha256_file(root_ / "tokens" / datasets::kTokensFile),
            "753c4eaa995de86bef420f6d8ad31c8b98cfed4b034234aeda5b981590c6e303");
  EXPECT_EQ(sha256_file(windows.folder / datasets::kWindowsFile),
            "216f05d296e851441dd1648cd6ee0b6b8482551976d385494e038f4201c78c06");
  EXPECT_EQ(sha256_file(images.folder / datasets::kImagesFile),
            "d4df7924b088eaa9b71e3ccb686088916153b179b13a6fa16d4e4537206e9b1d");
}

}  // namespace
}  // namespace assay::prepare
