#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/manifest.h"

// What a split of an image folder holds, found from the relative paths below it alone, so that the
// planner, `inspect` and the reader decide alike.

namespace assay {

struct ListedImage {
  std::string path;        // relative to the split's folder
  std::size_t folder = 0;  // index into ImageListing::folders

  bool operator==(const ListedImage&) const = default;
};

struct ImageListing {
  std::vector<std::string> folders;     // of classes, in bytewise order; some may hold no image
  std::vector<ListedImage> images;      // by folder, then by path, each in bytewise order
  std::vector<std::string> unreadable;  // images in formats that are not read
  std::int64_t hidden_folders = 0;      // names that begin with '.'; what is below counts no more
  std::int64_t hidden_files = 0;
  std::int64_t other_files = 0;     // no images by their names
  std::int64_t outside_images = 0;  // images that lie in no folder of a class

  bool operator==(const ImageListing&) const = default;
};

// `paths`: files and folders below a split, '/' between parts; a folder ends with '/', which only
// those without files need. The first part of a path is its class; images may lie at any depth
// below it, as torchvision's ImageFolder reads them. Read are .jpg, .jpeg and .png in any case.
ImageListing list_images(const std::vector<std::string>& paths);
ImageListing list_images(const Manifest& manifest);

// "2 hidden files, 1 hidden folder, 3 files that are no images"; "" if all was taken.
std::string passed_over(const ImageListing& listing);

// Throws Error(kData) naming `where` and the first such file if images would be lost because their
// format is not read, or if there is no class or no image.
void check_listing(const ImageListing& listing, const std::string& where);

}  // namespace assay
