#include "datasets/image_folder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "datasets/image_codec.h"
#include "datasets/preprocess.h"
#include "harness/core/error.h"

namespace assay::datasets {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

// Names of what lies in a folder, sorted by bytes so that every machine has one order.
std::vector<fs::path> listed(const fs::path& folder, bool folders) {
  std::vector<fs::path> names;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (folders ? entry.is_directory() : entry.is_regular_file() && is_image(entry.path())) {
        names.push_back(entry.path().filename());
      }
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo,
                fmt::format("{}: cannot be listed: {}", folder.string(), error.code().message()),
                {{"file", folder.string()}});
  }
  std::sort(names.begin(), names.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return names;
}

class FolderImages : public ImageSet {
 public:
  FolderImages(const fs::path& folder, const std::string& preprocess)
      : folder_(folder), preprocessing_(preprocessing_named(preprocess)) {
    for (const fs::path& name : listed(folder, true)) {
      const auto before = files_.size();
      for (const fs::path& file : listed(folder / name, false)) {
        files_.push_back({name / file, classes_});
      }
      if (files_.size() == before) {
        refuse(folder / name, "has no .jpg, .jpeg or .png file");
      }
      ++classes_;
    }
    if (classes_ == 0) {
      refuse(folder, "has no folder of a class");
    }
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  std::int64_t classes() const override { return classes_; }

  ImageBatch read(std::int64_t begin, std::int64_t end) const override {
    if (begin < 0 || begin > end || end > size()) {
      throw Error(ErrorKind::kConfig, fmt::format("images {} to {} were asked for, the set has {}",
                                                  begin, end, size()));
    }
    std::vector<at::Tensor> images;
    std::vector<std::int64_t> labels;
    for (std::int64_t i = begin; i < end; ++i) {
      const File& file = files_[static_cast<std::size_t>(i)];
      const fs::path path = folder_ / file.path;
      images.push_back(preprocess_image(decode_image(path), preprocessing_, path.string()));
      labels.push_back(file.label);
      if (images.back().sizes() != images.front().sizes()) {
        refuse(path, fmt::format("{} x {} pixels, others before it {} x {}; name a preprocessing",
                                 images.back().size(2), images.back().size(1),
                                 images.front().size(2), images.front().size(1)));
      }
    }
    if (images.empty()) {
      return {at::empty({0, 3, 0, 0}, at::kByte), at::empty({0}, at::kLong)};
    }
    return {at::stack(images), at::tensor(labels, at::kLong)};
  }

 private:
  struct File {
    fs::path path;  // below folder_
    std::int64_t label;
  };

  [[noreturn]] static void refuse(const fs::path& path, const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), why),
                {{"file", path.string()}});
  }

  fs::path folder_;
  Preprocessing preprocessing_;
  std::vector<File> files_;
  std::int64_t classes_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> open_image_folder(const fs::path& folder, const std::string& preprocess) {
  return std::make_unique<FolderImages>(folder, preprocess);
}

}  // namespace assay::datasets
