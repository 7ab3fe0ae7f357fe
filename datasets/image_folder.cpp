#include "datasets/image_folder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "datasets/image_codec.h"
#include "datasets/preprocess.h"
#include "harness/core/error.h"
#include "harness/core/manifest.h"

namespace assay::datasets {
namespace {

namespace fs = std::filesystem;

bool is_image(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

struct ClassFolder {
  std::vector<const ManifestEntry*> images;
};

class FolderImages : public ImageSet {
 public:
  FolderImages(const InputFile& folder, const std::string& preprocess)
      : preprocessing_(preprocessing_named(preprocess)) {
    const Manifest manifest = read_manifest(folder);
    std::map<std::string, ClassFolder> found;  // by name
    for (const ManifestEntry& entry : manifest) {
      const std::size_t slash = entry.path.find('/');
      if (slash == std::string::npos) {
        if (entry.folder) found[entry.path];
      } else if (!entry.folder && entry.path.find('/', slash + 1) == std::string::npos &&
                 is_image(entry.path)) {
        found[entry.path.substr(0, slash)].images.push_back(&entry);
      }
    }
    for (const auto& [name, of_class] : found) {
      if (of_class.images.empty()) {
        refuse(folder.path / name, "has no .jpg, .jpeg or .png file");
      }
      for (const ManifestEntry* image : of_class.images) {
        files_.push_back({file_in(folder, *image), classes_});
      }
      ++classes_;
    }
    if (classes_ == 0) {
      refuse(folder.path, "has no folder of a class");
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
      const fs::path& path = file.image.path;
      images.push_back(preprocess_image(decode_image(file.image), preprocessing_, path.string()));
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
    InputFile image;
    std::int64_t label;
  };

  [[noreturn]] static void refuse(const fs::path& path, const std::string& why) {
    throw Error(ErrorKind::kData, fmt::format("{}: {}", path.string(), why),
                {{"file", path.string()}});
  }

  Preprocessing preprocessing_;
  std::vector<File> files_;
  std::int64_t classes_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> open_image_folder(const InputFile& folder,
                                            const std::string& preprocess) {
  return std::make_unique<FolderImages>(folder, preprocess);
}

}  // namespace assay::datasets
