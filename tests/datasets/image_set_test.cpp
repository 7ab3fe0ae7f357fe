#include "datasets/image_set.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <set>

#include "datasets/image_codec.h"
#include "datasets/image_subset.h"
#include "datasets/memory_images.h"
#include "datasets/reader.h"
#include "datasets/sampling.h"
#include "tests/datasets/codecs_for_tests.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

using ImageSetTest = FolderTest;

TEST_F(ImageSetTest, idx_files_plain_or_gzip_give_the_same_images) {
  const std::string images = idx({2, 2, 2}, "abcdefgh");
  const std::string labels = idx({2}, std::string{1, 0});
  const FileSet plain({file(write("i", images), "images"), file(write("l", labels), "labels")});
  const FileSet gzip(
      {file(write("i.gz", deflated(images, true)), "images"),
       file(write("l.gz", deflated(labels, true) + std::string(512, '\0')), "labels")});
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

TEST_F(ImageSetTest, a_class_list_gives_the_numbers_and_the_order) {
  const std::string pixel = png(1, 1, 1, {7});
  write("bird/1.png", pixel);
  write("ant/deep/er/2.png", pixel);
  write(".hidden/3.png", pixel);
  write("ant/._2.png", "not an image");
  const Json data = {{"reader", "image_folder"}};
  const auto set = open_images(data, FileSet({file(folder_)}), {"cat", "bird", "dog", "ant"});
  EXPECT_EQ(set->classes(), 4);
  ASSERT_EQ(set->size(), 2);
  EXPECT_TRUE(at::equal(set->read(0, 2).labels, at::tensor({1, 3}, at::kLong)));
  EXPECT_NE(set->name(1).find("ant/deep/er/2.png"), std::string::npos);
  expect_error(ErrorKind::kConfig, "folder 'bird' is none of the 2 classes",
               [&] { open_images(data, FileSet({file(folder_)}), {"cat", "ant"}); });
}

// Values as Pillow 9 to 13 give them (pillow_test.py compares more where Pillow is installed).
TEST_F(ImageSetTest, transparent_pixels_keep_their_colour_unless_white_is_asked_for) {
  write("c/a.png", png(1, 2, 4, {10, 20, 30, 0, 200, 100, 0, 255}));
  const auto first = [&](const Json& parameters) {
    return open_images({{"reader", "image_folder"}, {"parameters", parameters}},
                       FileSet({file(folder_)}))
        ->read(0, 1)
        .images[0];  // [3, 2, 1]
  };
  const at::Tensor dropped = first(Json::object());
  EXPECT_EQ(dropped[0][0][0].item<int>(), 10);
  EXPECT_EQ(dropped[2][0][0].item<int>(), 30);
  EXPECT_EQ(dropped[0][1][0].item<int>(), 200);
  const at::Tensor white = first({{"alpha", "white"}});
  EXPECT_EQ(white[0][0][0].item<int>(), 255);
  EXPECT_EQ(white[0][1][0].item<int>(), 200);
  EXPECT_EQ(white[2][1][0].item<int>(), 0);
}

TEST(DecodeImage, sixteen_bits_of_grey_are_clipped_unless_the_upper_byte_is_asked_for) {
  const std::string bytes = png16({0, 255, 256, 40000});
  const at::Tensor clipped = decode_image(bytes, "x.png");  // [3, 1, 4]
  EXPECT_TRUE(at::equal(clipped[1][0], at::tensor({0, 255, 255, 255}, at::kByte)));
  const at::Tensor high = decode_image(bytes, "x.png", {.grey16 = Grey16::kHigh});
  EXPECT_TRUE(at::equal(high[2][0], at::tensor({0, 0, 1, 156}, at::kByte)));
}

TEST(DecodeImage, cmyk_is_inverted_with_and_without_adobe_s_marker) {
  std::string bytes = jpeg(8, 8, 4, std::vector<unsigned char>(8 * 8 * 4, 40));
  const at::Tensor marked = decode_image(bytes, "x.jpg");
  const std::size_t marker = bytes.find("\xff\xee");
  ASSERT_NE(marker, std::string::npos);
  bytes.erase(marker, 2 + 14);
  EXPECT_TRUE(at::equal(decode_image(bytes, "x.jpg"), marked));
  EXPECT_EQ(marked.max().item<int>(), 6);  // 40 of 255 in all four: (40 * 40 + 128) / 255
}

TEST_F(ImageSetTest, images_of_unequal_sizes_are_named_when_they_are_gathered) {
  write("c/a.png", png(2, 2, 1, {1, 2, 3, 4}));
  write("c/b.png", png(1, 2, 1, {1, 2}));
  const auto set = open_images({{"reader", "image_folder"}}, FileSet({file(folder_)}));
  expect_error(ErrorKind::kData, "c/b.png has 1 x 2; name a 'preprocess'",
               [&] { gather(*set, {0, 1}); });
}

TEST(Subset, a_limit_spreads_over_the_whole_set) {
  EXPECT_EQ(spread_indices(12, 4), (std::vector<std::int64_t>{0, 3, 6, 9}));
  EXPECT_EQ(spread_indices(10, 4), (std::vector<std::int64_t>{0, 2, 5, 7}));
  const std::shared_ptr<const ImageSet> all = memory_images(
      at::arange(12).view({12, 1, 1, 1}).to(at::kByte), at::arange(12).floor_divide(4), 3, "test");
  const auto some = spread_subset(all, 6);
  EXPECT_EQ(some->size(), 6);
  EXPECT_EQ(some->classes(), 3);
  EXPECT_TRUE(at::equal(some->read(0, 6).labels, at::tensor({0, 0, 1, 1, 2, 2}, at::kLong)));
  EXPECT_EQ(some->read(3, 4).images.item<int>(), 6);
  EXPECT_EQ(some->read(2, 2).labels.numel(), 0);
  EXPECT_EQ(some->name(3), "image 6");
  EXPECT_EQ(spread_subset(all, 0), all);
  EXPECT_EQ(spread_subset(all, 12), all);
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
