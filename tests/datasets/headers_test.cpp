#include "datasets/headers.h"

#include <gtest/gtest.h>

#include "datasets/image_codec.h"
#include "datasets/image_header.h"
#include "tests/datasets/codecs_for_tests.h"
#include "tests/datasets/files_for_tests.h"

namespace assay::datasets {
namespace {

class HeadersTest : public FolderTest {
 protected:
  DataHeaders text_of(const std::string& content, const Json& parameters = Json::object()) const {
    const Json data = {{"reader", "text"}, {"parameters", parameters}, {"split", "test"}};
    return read_headers(data, FileSet({file(write("text", content))}));
  }
};

// What a gzip file says of its length is that of its last stream.
TEST_F(HeadersTest, streams_of_a_text_count_together) {
  const std::string first = deflated("some words ", true), second = deflated("more", true);
  EXPECT_EQ(text_of(first + second).characters, 15);
  EXPECT_EQ(text_of(first + second).beginning, "some words more");
  const DataHeaders with_empty = text_of(first + deflated("", true));
  EXPECT_EQ(with_empty.characters, 11);
  EXPECT_TRUE(with_empty.problems.empty());
  const DataHeaders large = text_of(deflated(std::string(200'000, 'a'), true) + second);
  EXPECT_EQ(large.characters, -1) << "not known";
  EXPECT_TRUE(large.problems.empty());
  EXPECT_FALSE(text_of(deflated("", true)).problems.empty());
}

TEST_F(HeadersTest, of_a_text_that_is_damaged_no_length_is_known) {
  const std::string gzip = deflated("some words ", true);
  const DataHeaders cut = text_of(gzip.substr(0, gzip.size() - 12));
  EXPECT_EQ(cut.characters, -1);
  EXPECT_EQ(cut.problems.size(), 1u);
}

TEST_F(HeadersTest, a_text_that_is_cut_is_as_long_as_what_is_left) {
  EXPECT_EQ(text_of("abcdef", {{"max_characters", 3}}).characters, 3);
  EXPECT_EQ(text_of("abcdef", {{"max_characters", 3}}).beginning, "abc");
  EXPECT_EQ(text_of("\u00e4\u00f6", {{"max_characters", 1}}).characters, 2);
  EXPECT_EQ(text_of("abcdef", {{"max_characters", 99}}).characters, 6);
  EXPECT_EQ(text_of("  abcdef", {{"max_characters", 1}, {"strip", true}}).characters, 4)
      << "at most: what is stripped is not known here";
}

// As the decoder has it.
TEST_F(HeadersTest, what_stands_before_the_size_of_a_jpeg_is_passed_over) {
  const std::string plain = jpeg(3, 2, 1, {1, 2, 3, 4, 5, 6});
  const std::string segment = std::string("\xFF\xE1\xFF\xFF", 4) + std::string(0xFFFF - 2, 'x');
  std::string long_head;
  for (int i = 0; i < 9; ++i) long_head += segment;  // 576 KiB
  const std::size_t first = 2 + 2 + 16;              // SOI and the JFIF segment
  const auto with = [&](const std::string& inserted) {
    return write("one.jpg", plain.substr(0, first) + inserted + plain.substr(first));
  };
  for (const std::string& inserted : {std::string(), std::string(1, '\0'), segment}) {
    const auto path = with(inserted);
    const auto size = read_image_size(file(path));
    ASSERT_TRUE(size);
    EXPECT_EQ(size->width, 3);
    EXPECT_EQ(size->height, 2);
    EXPECT_EQ(decode_image(file(path)).size(2), 3);
  }
  const auto path = with(long_head);
  EXPECT_FALSE(read_image_size(file(path))) << "it is not known, which is no fault";
  EXPECT_EQ(decode_image(file(path)).size(2), 3);
  expect_error(ErrorKind::kData, "cut off",
               [&] { read_image_size(file(write("two.jpg", plain.substr(0, 20)))); });
}

}  // namespace
}  // namespace assay::datasets
