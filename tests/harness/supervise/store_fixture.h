#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/json.h"
#include "harness/supervise/store.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {

// A store in a folder of its own, and results to publish in it.
class StoreTest : public ::testing::Test {
 protected:
  static std::string key(const std::string& name) { return sha256(name); }

  static Json result(const std::string& name, double value = 1) {
    return {{"stage", "echo.value"}, {"key", key(name)},          {"metrics", {{"v", value}}},
            {"attempt", 1},          {"cost", {{"wall_s", 0.5}}}, {"environment", {{"host", "a"}}}};
  }

  Finished finished(const std::string& name, double value = 1) {
    return {key(name), "", result(name, value), ""};
  }

  // With one file of this content.
  Finished with_file(const std::string& name, const std::string& content) {
    Finished made = finished(name);
    made.files = store.output_folder(name + "." + std::to_string(++attempts));
    std::filesystem::create_directories(made.files / "codes");
    write_file_atomically(made.files / "codes" / "a.bin", content);
    return made;
  }

  Published publish(const Finished& one) { return store.publish({&one, 1}).at(0); }

  std::vector<std::filesystem::path> everything_in(const char* name) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root() / name))
      found.push_back(entry.path());
    return found;
  }

  std::filesystem::path root() const { return folder.path() / "store"; }

  TemporaryFolder folder;
  Store store{root()};
  int attempts = 0;
};

}  // namespace assay::supervise
