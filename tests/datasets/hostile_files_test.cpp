#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "datasets/compressed.h"
#include "datasets/image_codec.h"
#include "datasets/image_set.h"
#include "datasets/text_set.h"
#include "tests/datasets/codecs_for_tests.h"
#include "tests/datasets/files_for_tests.h"
#include "tests/support/refusal.h"

// Files as nobody should make them: each must give one error that names the file, and nothing else.

namespace assay::datasets {
namespace {

using assay::testing::refusal;

class HostileIdx : public FolderTest {
 protected:
  void refused(const std::string& piece, const std::string& images,
               const std::string& labels = idx({2}, std::string(2, '\0'))) const {
    const FileSet files({file(write("i", images), "images"), file(write("l", labels), "labels")});
    expect_error(ErrorKind::kData, piece, [&] { open_images({{"reader", "idx"}}, files); });
    expect_error(ErrorKind::kData, folder_.path().string(), [&] {
      open_images({{"reader", "idx"}}, files);
    });
  }
  const std::string good_ = idx({2, 1, 2}, "abcd");
};

TEST_F(HostileIdx, headers_that_lie_are_refused_before_anything_is_allocated) {
  refused("not an IDX file", "");
  refused("not an IDX file", std::string("\0\0\x08", 3));
  refused("not an IDX file", "GIF89a");
  refused("type 0x0d", std::string("\0\0\x0d\1", 4) + big_endian(1) + "a");
  refused("0 dimensions", std::string("\0\0\x08\0", 4));
  refused("255 dimensions", std::string("\0\0\x08\xff", 4));
  refused("header is cut off", std::string("\0\0\x08\3", 4) + big_endian(1));
  refused("asks for more", idx({0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF}, "abcd"));
  refused("asks for more", idx({0, 1, 2}, "abcd"));
  refused("the file has 3", idx({1, 1, 2}, "abc"));
  refused("asks for more", idx({2, 1, 3}, "abcd"));
}

TEST_F(HostileIdx, images_and_labels_must_fit_together) {
  refused("3 labels for the 2 images", good_, idx({3}, std::string(3, '\0')));
  refused("labels have 1 dimension", good_, idx({1, 2}, std::string(2, '\0')));
  refused("3 or 4 dimensions", idx({4}, "abcd"));
}

TEST_F(HostileIdx, gzip_that_is_damaged_or_cut_off_is_refused) {
  const std::string gzip = deflated(good_, true);
  refused("cut off", gzip.substr(0, gzip.size() - 12));
  refused("damaged", gzip.substr(0, gzip.size() - 8) + std::string(8, 'x'));
  refused("damaged", "\x1f\x8b" + std::string(30, '\xff'));
}

TEST_F(HostileIdx, labels_outside_the_classes_name_their_record) {
  const FileSet files({file(write("i", good_), "images"),
                      file(write("l", idx({2}, std::string{1, 9})), "labels")});
  expect_error(ErrorKind::kData, "record 1: label 9", [&] {
    open_images({{"reader", "idx"}, {"parameters", {{"classes", 3}}}}, files);
  });
}

TEST_F(HostileIdx, missing_files_and_roles_are_errors) {
  const FileSet twice({file("a", "images"), file("b", "images")});
  expect_error(ErrorKind::kConfig, "needs one file of the role", [&] {
    open_images({{"reader", "idx"}}, twice);
  });
  const FileSet absent({file(folder_ / "no", "images"), file(folder_ / "no", "labels")});
  expect_error(ErrorKind::kIo, "no", [&] { open_images({{"reader", "idx"}}, absent); });
  expect_error(ErrorKind::kConfig, "has no files", [&] {
    open_images({{"reader", "cifar_binary"}}, FileSet());
  });
  expect_error(ErrorKind::kConfig, "lacks its reader", [&] { open_images(Json::object(), twice); });
  expect_error(ErrorKind::kConfig, "has no images", [&] {
    open_images({{"reader", "text"}}, twice);
  });
}

class HostileCifar : public FolderTest {};

TEST_F(HostileCifar, records_that_are_cut_off_or_mislabelled_are_refused) {
  const auto refused = [&](const std::string& piece, const std::string& bytes) {
    const FileSet files = FileSet({file(write("c", bytes))});
    expect_error(ErrorKind::kData, piece, [&] {
      open_images({{"reader", "cifar_binary"}}, files);
    });
  };
  refused("0 bytes are no whole number", "");
  refused("3072 bytes are no whole number", std::string(3072, '\1'));
  refused("3074 bytes", std::string(3074, '\1'));
  refused("record 1: label 10", std::string(3073, '\1') + std::string(3073, '\x0a'));
}

class HostileImages : public ::testing::Test {
 protected:
  static void refused_or_decoded(const std::string& bytes, const std::string& name) {
    EXPECT_THAT(refusal([&] { decode_image(bytes, name); }),
                ::testing::AnyOf("no error", ::testing::StartsWith("data: ")));
  }
  static void refused(const std::string& piece, const std::string& bytes) {
    expect_error(ErrorKind::kData, piece, [&] { decode_image(bytes, "x.img"); });
  }
  const std::string png_ = png(16, 16, 3, std::vector<unsigned char>(16 * 16 * 3, 50));
  const std::string jpeg_ = jpeg(64, 64, 3, std::vector<unsigned char>(64 * 64 * 3, 50));
};

TEST_F(HostileImages, what_is_no_image_is_refused) {
  refused("neither a JPEG nor a PNG", "");
  refused("neither a JPEG nor a PNG", "BM a bitmap");
  refused("neither a JPEG nor a PNG", "\x89PNG");
}

TEST_F(HostileImages, a_png_cut_off_anywhere_is_refused) {
  for (std::size_t size = 8; size < png_.size(); size += 5) {
    refused("damaged PNG", png_.substr(0, size));
  }
}

TEST_F(HostileImages, a_png_with_a_flipped_byte_is_refused_or_decodes) {
  for (std::size_t at = 0; at < png_.size(); ++at) {
    std::string bytes = png_;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x5A);
    refused_or_decoded(bytes, "x.png");
  }
}

TEST_F(HostileImages, a_png_that_claims_a_giant_size_is_refused_before_it_is_allocated) {
  std::string bytes = png_;
  bytes.replace(16, 8, big_endian(0x000F0000) + big_endian(0x000F0000));
  const auto crc =
      static_cast<std::uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(bytes.data()) + 12, 17));
  bytes.replace(29, 4, big_endian(crc));
  refused("x.img", bytes);
}

TEST_F(HostileImages, a_jpeg_cut_off_is_refused) {
  for (std::size_t size = 3; size + 3 < jpeg_.size(); size += 7) {
    refused("damaged JPEG", jpeg_.substr(0, size));
  }
}

TEST_F(HostileImages, a_jpeg_that_claims_a_giant_size_is_refused_before_it_is_allocated) {
  std::string bytes = jpeg_;
  const std::size_t frame = bytes.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  bytes.replace(frame + 5, 4, "\xff\x00\xff\x00", 4);
  refused("pixels; legal", bytes);
}

TEST_F(HostileImages, a_jpeg_with_a_flipped_byte_is_refused_or_decodes) {
  for (std::size_t at = 2; at < jpeg_.size(); at += 3) {
    std::string bytes = jpeg_;
    bytes[at] = static_cast<char>(bytes[at] ^ 0x5A);
    refused_or_decoded(bytes, "x.jpg");
  }
}

class HostileFolder : public FolderTest {
 protected:
  std::unique_ptr<ImageSet> open(const std::string& preprocess = "none") const {
    return open_images({{"reader", "image_folder"}, {"preprocess", {{"name", preprocess}}}},
                       FileSet({file(folder_ / "val")}));
  }
};

TEST_F(HostileFolder, folders_without_images_are_errors) {
  expect_error(ErrorKind::kIo, "cannot list", [&] { open(); });
  write("val/stray.png", "x");
  expect_error(ErrorKind::kData, "no folder of a class", [&] { open(); });
  write("val/n01/readme.txt", "x");
  expect_error(ErrorKind::kData, "('n01')", [&] { open(); });
  write("val/n01/a.webp", "x");
  expect_error(ErrorKind::kData, "1 image in formats that are not read", [&] { open(); });
}

TEST_F(HostileFolder, an_image_that_is_broken_or_of_another_size_is_named) {
  write("val/n01/a.png", png(2, 2, 1, {1, 2, 3, 4}));
  write("val/n01/b.png", png(1, 2, 1, {1, 2}));
  write("val/n01/c.jpg", "\xff\xd8\xff");
  expect_error(ErrorKind::kData, "b.png: 1 x 2 pixels", [&] { open()->read(0, 2); });
  expect_error(ErrorKind::kData, "c.jpg: damaged JPEG", [&] { open()->read(2, 3); });
  expect_error(ErrorKind::kConfig, "the set has 3", [&] { open()->read(2, 4); });
  expect_error(ErrorKind::kConfig, "unknown preprocessing", [&] { open("resize"); });
}

class HostileText : public FolderTest {
 protected:
  void refused(const std::string& piece, const std::string& text) const {
    expect_error(ErrorKind::kData, piece, [&] {
      open_documents({{"reader", "text"}}, FileSet({file(write("t", text))}));
    });
  }
};

TEST_F(HostileText, bytes_that_are_not_utf_8_are_named_with_their_offset) {
  refused("byte 0xff at offset 1", "a\xff");
  refused("byte 0xc3 at offset 2", "ab\xc3");            // cut off
  refused("byte 0xc0 at offset 0", "\xc0\xaf");          // overlong
  refused("byte 0xed at offset 0", "\xed\xa0\x80");      // surrogate
  refused("byte 0xf4 at offset 0", "\xf4\x90\x80\x80");  // beyond U+10FFFF
  refused("byte 0x80 at offset 0", "\x80");
}

TEST_F(HostileText, an_empty_text_is_an_error) {
  refused("holds no text", "");
  expect_error(ErrorKind::kConfig, "has no files", [] {
    open_documents({{"reader", "text"}}, FileSet());
  });
}

TEST_F(HostileText, a_small_file_that_inflates_without_end_stops_at_the_limit) {
  const std::string bomb = deflated(std::string(std::size_t{32} << 20, '\0'), true);
  EXPECT_LT(bomb.size(), std::size_t{1} << 16);
  const auto path = write("bomb.gz", bomb);
  expect_error(ErrorKind::kData, "inflates to more than 1000000 bytes",
               [&] { read_inflated(unplanned(path), 1000000); });
  EXPECT_EQ(read_inflated(unplanned(path), std::size_t{32} << 20).size(), std::size_t{32} << 20);
}

}  // namespace
}  // namespace assay::datasets
