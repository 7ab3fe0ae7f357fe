#include "datasets/image_set.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "datasets/readers.h"
#include "tests/datasets/codecs_for_tests.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

using ImageSetTest = FolderTest;

TEST_F(ImageSetTest, idx_files_plain_or_gzip_give_the_same_images) {
  const std::string images = idx({2, 2, 2}, "abcdefgh");
  const std::string labels = idx({2}, std::string{1, 0});
  const FileSet plain({file(write("i", images), "images"), file(write("l", labels), "labels")});
  const FileSet gzip({file(write("i.gz", deflated(images, true)), "images"),
                     file(write("l.gz", deflated(labels, true)), "labels")});
  const auto first = open_images({{"reader", "idx"}}, plain);
  const auto second = open_images({{"reader", "idx"}}, gzip);
  EXPECT_EQ(first->size(), 2);
  EXPECT_EQ(first->classes(), 2);
  EXPECT_EQ(first->read(0, 2).images.sizes(), (at::IntArrayRef{2, 1, 2, 2}));
  EXPECT_EQ(first->read(1, 2).images[0][0][1][1].item<int>(), 'h');
  EXPECT_TRUE(at::equal(first->read(0, 2).images, second->read(0, 2).images));
  EXPECT_TRUE(at::equal(first->read(0, 2).labels, second->read(0, 2).labels));
}

TEST_F(ImageSetTest, cifar_files_are_read_one_after_the_other) {
  const FileSet files({file(write("a", std::string(3073, '\3'))),
                      file(write("b", std::string(2 * 3073, '\7')))});
  const auto set = open_images({{"reader", "cifar_binary"}}, files);
  EXPECT_EQ(set->size(), 3);
  EXPECT_EQ(set->classes(), 10);
  EXPECT_TRUE(at::equal(set->read(0, 3).labels, at::tensor({3, 7, 7}, at::kLong)));
  EXPECT_EQ(set->read(0, 1).images.sizes(), (at::IntArrayRef{1, 3, 32, 32}));
}

TEST_F(ImageSetTest, a_folder_numbers_its_classes_in_order_of_name) {
  const std::vector<unsigned char> red = {255, 0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0};
  write("n02/b.PNG", png(2, 2, 3, red));
  write("n01/z.png", png(2, 2, 1, {10, 20, 30, 40}));
  write("n01/a.jpeg", jpeg(2, 2, 3, std::vector<unsigned char>(12, 100)));
  write("n01/notes.txt", "not an image");
  const auto set = open_images({{"reader", "image_folder"}}, FileSet({file(folder_)}));
  EXPECT_EQ(set->size(), 3);
  EXPECT_EQ(set->classes(), 2);
  const ImageBatch batch = set->read(0, 3);
  EXPECT_TRUE(at::equal(batch.labels, at::tensor({0, 0, 1}, at::kLong)));
  EXPECT_EQ(batch.images[0][1][0][0].item<int>(), 100);  // the JPEG comes first by name
  EXPECT_EQ(batch.images[1][2][1][1].item<int>(), 40);   // grey is repeated
  EXPECT_EQ(batch.images[2].select(0, 1).sum().item<int>(), 0);
}

TEST_F(ImageSetTest, transparent_pixels_are_composed_on_white) {
  write("c/a.png", png(1, 2, 4, {0, 0, 0, 0, 200, 100, 0, 255}));
  const auto set = open_images({{"reader", "image_folder"}}, FileSet({file(folder_)}));
  const at::Tensor image = set->read(0, 1).images[0];  // [3, 2, 1]
  EXPECT_EQ(image[0][0][0].item<int>(), 255);
  EXPECT_EQ(image[0][1][0].item<int>(), 200);
  EXPECT_EQ(image[2][1][0].item<int>(), 0);
}

TEST_F(ImageSetTest, cmyk_becomes_rgb) {
  write("c/a.jpg", jpeg(8, 8, 4, std::vector<unsigned char>(8 * 8 * 4, 0)));
  const auto set = open_images({{"reader", "image_folder"}}, FileSet({file(folder_)}));
  // An Adobe file of zeros holds full ink: black.
  EXPECT_EQ(set->read(0, 1).images.max().item<int>(), 0);
}

TEST(Normalise, divides_by_255_and_shifts_by_channel) {
  const at::Tensor images = at::full({1, 2, 1, 1}, 51, at::kByte);
  const at::Tensor values = normalise(images, {0.0, 0.2}, {1.0, 0.5});
  EXPECT_FLOAT_EQ(values[0][0][0][0].item<float>(), 0.2f);
  EXPECT_NEAR(values[0][1][0][0].item<float>(), 0.0, 1e-7);
}

TEST(Normalise, one_channel_feeds_three) {
  const at::Tensor values =
      normalise(at::full({2, 1, 4, 4}, 255, at::kByte), {0, 0, 0}, {1, 1, 0.5});
  EXPECT_EQ(values.sizes(), (at::IntArrayRef{2, 3, 4, 4}));
  EXPECT_EQ(values[1][2][3][3].item<float>(), 2);
}

TEST(Normalise, channels_that_do_not_fit_are_an_error) {
  expect_error(ErrorKind::kConfig, "2 channels", [] {
    normalise(at::zeros({1, 2, 4, 4}, at::kByte), {0, 0, 0}, {1, 1, 1});
  });
}

TEST(Readers, their_declarations_have_distinct_names_and_defaults_that_check) {
  std::set<std::string> names;
  for (const ReaderDeclaration& reader : readers()) {
    EXPECT_TRUE(names.insert(reader.name).second) << reader.name;
    EXPECT_NO_THROW(checked_parameters(reader.parameters, Json::object(), reader.name));
  }
  EXPECT_EQ(names.size(), 6u);
}

}  // namespace
}  // namespace assay::datasets
