#include "datasets/image_folder.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.h"
#include "harness/formats/class_list.h"
#include "harness/formats/image_listing.h"
#include "harness/formats/manifest.h"

namespace assay::datasets {
namespace {

namespace fs = std::filesystem;

struct LabelledFile {
  InputFile image;
  std::int64_t label = 0;
};

// In order of class, then path.
std::vector<LabelledFile> labelled(const InputFile& folder, const Manifest& manifest,
                                   const ImageListing& listing,
                                   const std::vector<std::int64_t>& numbers) {
  std::vector<LabelledFile> files;
  for (const ListedImage& image : listing.images) {
    const auto entry = std::lower_bound(
        manifest.begin(), manifest.end(), image.path,
        [](const ManifestEntry& each, const std::string& path) { return each.path < path; });
    files.push_back({file_in(folder, *entry), numbers[image.folder]});
  }
  std::stable_sort(files.begin(), files.end(), [](const LabelledFile& a, const LabelledFile& b) {
    return a.label < b.label;
  });
  return files;
}

class FolderImages : public ImageSet {
 public:
  FolderImages(const InputFile& folder, const std::vector<std::string>& classes,
               Preprocessing preprocessing, const PixelRules& rules)
      : preprocessing_(std::move(preprocessing)), rules_(rules) {
    const Manifest manifest = read_manifest(folder);
    const ImageListing listing = list_images(manifest);
    check_listing(listing, folder.path.string());
    const std::vector<std::string>& names = classes.empty() ? listing.folders : classes;
    files_ = labelled(folder, manifest, listing,
                      class_numbers(listing.folders, names, folder.path.string()));
    classes_ = static_cast<std::int64_t>(names.size());
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(files_.size()); }
  std::int64_t classes() const override { return classes_; }
  std::string name(std::int64_t index) const override {
    return files_.at(static_cast<std::size_t>(index)).image.path.string();
  }

  ImageBatch read(std::int64_t begin, std::int64_t end) const override {
    if (begin < 0 || begin > end || end > size()) {
      throw Error(ErrorKind::kConfig, fmt::format("images {} to {} were asked for, the set has {}",
                                                  begin, end, size()));
    }
    std::vector<at::Tensor> images;
    std::vector<std::int64_t> labels;
    for (std::int64_t i = begin; i < end; ++i) {
      const LabelledFile& file = files_[static_cast<std::size_t>(i)];
      const fs::path& path = file.image.path;
      images.push_back(
          preprocess_image(decode_image(file.image, rules_), preprocessing_, path.string()));
      labels.push_back(file.label);
      if (images.back().sizes() != images.front().sizes()) {
        throw Error(ErrorKind::kData,
                    fmt::format("{}: {} x {} pixels, others before it {} x {}; name a 'preprocess' "
                                "that gives one size",
                                path.string(), images.back().size(2), images.back().size(1),
                                images.front().size(2), images.front().size(1)),
                    {{"file", path.string()}});
      }
    }
    if (images.empty()) {
      return {at::empty({0, 3, 0, 0}, at::kByte), at::empty({0}, at::kLong)};
    }
    return {at::stack(images), at::tensor(labels, at::kLong)};
  }

 private:
  Preprocessing preprocessing_;
  PixelRules rules_;
  std::vector<LabelledFile> files_;
  std::int64_t classes_ = 0;
};

}  // namespace

std::unique_ptr<ImageSet> open_image_folder(const InputFile& folder,
                                            const std::vector<std::string>& classes,
                                            const Preprocessing& preprocessing,
                                            const PixelRules& rules) {
  return std::make_unique<FolderImages>(folder, classes, preprocessing, rules);
}

}  // namespace assay::datasets
