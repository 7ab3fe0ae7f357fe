#include "harness/formats/safetensors_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "harness/base/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

class SafetensorsFileTest : public ::testing::Test {
 protected:
  std::filesystem::path file_with(const std::string& header, const std::string& data) {
    const std::uint64_t length = header.size();
    const auto path = folder_ / "x.safetensors";
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&length), 8);
    out << header << data;
    return path;
  }
  std::string header_error(const std::string& header, const std::string& data) {
    const auto path = file_with(header, data);
    return refusal([&] { SafetensorsFile file(path); });
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsFileTest, what_was_written_is_read_back) {
  const std::vector<float> values{1.5F, -2, 3};
  const auto path = folder_ / "a.safetensors";
  write_safetensors(path, {{"v", {"F32", {3}, std::as_bytes(std::span(values))}}},
                    {{"format", "pt"}});
  const SafetensorsFile file(path);
  EXPECT_EQ(file.values("v"), (std::vector<double>{1.5, -2, 3}));
  EXPECT_EQ(file.metadata().at("format"), "pt");
}

TEST_F(SafetensorsFileTest, lies_in_the_header_are_refused) {
  EXPECT_THAT(header_error("{", ""), HasSubstr("not valid JSON"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "1234"),
              HasSubstr("truncated file?"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234"),
              HasSubstr("needs 8 bytes"));
  EXPECT_THAT(
      header_error(R"({"a":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}})",
                   "1234"),
      HasSubstr("impossible shape"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "1234"),
              HasSubstr("tensor 'a' has the extent -1"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"Q9","shape":[1],"data_offsets":[0,4]}})", "1234"),
              HasSubstr("dtype 'Q9', which is not read; legal: F64"));
  EXPECT_THAT(
      header_error(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
          "123"),
      HasSubstr("holes or overlaps"));
  EXPECT_THAT(header_error(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "123"),
              HasSubstr("belong to none"));
}

TEST_F(SafetensorsFileTest, a_header_longer_than_the_file_is_refused) {
  const auto path = folder_ / "x.safetensors";
  std::ofstream(path, std::ios::binary)
      << std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) << "{}";
  EXPECT_THROW(SafetensorsFile file(path), Error);
}

TEST_F(SafetensorsFileTest, an_unknown_name_offers_the_nearest) {
  const std::vector<float> values{1};
  const auto path = folder_ / "a.safetensors";
  write_safetensors(path, {{"weight", {"F32", {1}, std::as_bytes(std::span(values))}}});
  const SafetensorsFile file(path);
  EXPECT_THAT(refusal([&] { file.at("wieght"); }), HasSubstr("did you mean 'weight'?"));
}

}  // namespace
}  // namespace assay
