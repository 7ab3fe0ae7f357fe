#pragma once

#include <filesystem>
#include <random>
#include <string>

namespace assay {

// A temporary folder, removed with its content.
class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() /
              ("assay-methods-" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace assay
