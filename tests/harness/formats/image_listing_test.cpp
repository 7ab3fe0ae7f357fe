#include "harness/formats/image_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/refusal.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> images_of(const ImageListing& listing) {
  std::vector<std::string> paths;
  for (const ListedImage& image : listing.images) paths.push_back(image.path);
  return paths;
}

std::string listing_error(const std::vector<std::string>& paths) {
  return refusal([&] { check_listing(list_images(paths), "/d/test"); });
}

TEST(ImageListing, images_may_lie_at_any_depth_below_the_folder_of_their_class) {
  const ImageListing listing =
      list_images({"b/images/2.png", "b/images/1.JPEG", "b/0.jpg", "a/x/y/z.png", "c/", "a/x/"});
  EXPECT_THAT(listing.folders, ElementsAre("a", "b", "c"));
  EXPECT_THAT(images_of(listing),
              ElementsAre("a/x/y/z.png", "b/0.jpg", "b/images/1.JPEG", "b/images/2.png"));
  EXPECT_EQ(listing.images[0].folder, 0U);
  EXPECT_EQ(listing.images[3].folder, 1U);
  EXPECT_EQ(passed_over(listing), "");
}

TEST(ImageListing, what_is_passed_over_is_counted) {
  const ImageListing listing =
      list_images({".DS_Store", ".git/", ".git/a/b.png", ".cache/", "a/.ipynb/1.png", "a/._1.png",
                   "a/1.png", "a/notes.txt", "README", "montage.png"});
  EXPECT_THAT(listing.folders, ElementsAre("a"));
  EXPECT_THAT(images_of(listing), ElementsAre("a/1.png"));
  EXPECT_EQ(listing.hidden_folders, 3);  // .git, .cache, a/.ipynb
  EXPECT_EQ(listing.hidden_files, 4);
  EXPECT_EQ(passed_over(listing),
            "3 hidden folders, 4 hidden files, 2 files that are no images, 1 image outside the "
            "folders of classes");
}

TEST(ImageListing, images_in_formats_that_are_not_read_are_refused_rather_than_lost) {
  EXPECT_THAT(
      listing_error({"a/1.png", "a/3.WebP", "a/2.tiff"}),
      HasSubstr("data: '/d/test': 2 images in formats that are not read, 'a/2.tiff' the first; "
                "convert them to PNG"));
  EXPECT_EQ(listing_error({"a/1.png", "a/1.json"}), "no error");
}

TEST(ImageListing, a_split_without_classes_or_images_is_refused) {
  EXPECT_THAT(listing_error({"1.png", "2.png"}),
              HasSubstr("data: '/d/test': has no folder of a class"));
  EXPECT_THAT(listing_error({"a/", "b/readme.txt"}),
              HasSubstr("data: '/d/test': has no .jpg, .jpeg or .png file"));
  EXPECT_EQ(listing_error({"a/", "b/1.png"}), "no error");  // a class that this split lacks
}

}  // namespace
}  // namespace assay
