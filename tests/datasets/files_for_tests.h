#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "datasets/tokenizer.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/formats/input_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

// A folder of its own for each test, and verbs to fill it.

namespace assay::datasets {

class FolderTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& content) const {
    return folder_.write(name, content);
  }

  static InputFile file(const std::filesystem::path& path, const std::string& role = "") {
    return unplanned(path, role);
  }

  TemporaryFolder folder_;
};

// The error that a call throws: its kind, and a piece of its text.
inline void expect_error(ErrorKind kind, const std::string& piece,
                         const std::function<void()>& call) {
  EXPECT_THAT(assay::testing::refusal(call),
              ::testing::AllOf(::testing::StartsWith(std::string(name_of(kind)) + ": "),
                               ::testing::HasSubstr(piece)));
}

// The tokenizer of a folder or file that no plan stands behind.
inline std::unique_ptr<const Tokenizer> tokenizer_at(const std::filesystem::path& path) {
  return open_tokenizer(checkpoint_on_disk(path, {.network = false, .tokenizer = true}));
}

// Where data that is not part of the source lies.
inline std::filesystem::path test_data() {
  const char* folder = std::getenv("ASSAY_TEST_DATA");
  return folder != nullptr ? folder : "../shared";
}

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(value >> shift & 0xFF));
  }
  return bytes;
}

inline std::string idx(const std::vector<std::uint32_t>& shape, const std::string& data) {
  std::string bytes = {0, 0, 8, static_cast<char>(shape.size())};
  for (const std::uint32_t extent : shape) {
    bytes += big_endian(extent);
  }
  return bytes + data;
}

}  // namespace assay::datasets
