#include "harness/formats/image_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "harness/base/error.h"

namespace assay {
namespace {

constexpr std::array<std::string_view, 3> kRead{".jpeg", ".jpg", ".png"};
// Formats that torchvision's ImageFolder takes, and others that are images to everybody.
constexpr std::array<std::string_view, 17> kNotRead{
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2",  ".jpe", ".jxl",
    ".pbm",  ".pgm", ".pnm", ".ppm",  ".tga",  ".tif",  ".tiff", ".webp"};

// In lower case, with its dot; "" without one.
std::string extension_of(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  const std::size_t dot = name.rfind('.');
  std::string extension(dot == std::string_view::npos ? "" : name.substr(dot));
  std::transform(extension.begin(), extension.end(), extension.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return extension;
}

template <std::size_t N>
bool lists(const std::array<std::string_view, N>& extensions, std::string_view extension) {
  return std::find(extensions.begin(), extensions.end(), extension) != extensions.end();
}

// The path up to and with its first hidden part; "" if it has none.
std::string_view hidden_prefix(std::string_view path) {
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin && path[begin] == '.') return path.substr(0, std::min(end + 1, path.size()));
    begin = end + 1;
  }
  return {};
}

std::string counted(std::int64_t count, const char* one, const char* many) {
  return count == 1 ? fmt::format("1 {}", one) : fmt::format("{} {}", count, many);
}

}  // namespace

ImageListing list_images(const std::vector<std::string>& paths) {
  ImageListing listing;
  std::map<std::string, std::vector<std::string>> images;  // by folder
  std::set<std::string_view> hidden;
  for (const std::string& path : paths) {
    const std::string_view prefix = hidden_prefix(path);
    if (prefix.ends_with('/')) hidden.insert(prefix);
    const std::size_t slash = path.find('/');
    const bool folder = path.ends_with('/');
    if (!prefix.empty()) {
      if (!folder) ++listing.hidden_files;
      continue;
    }
    if (slash != std::string::npos) images.try_emplace(path.substr(0, slash));
    if (folder) continue;
    const std::string extension = extension_of(path);
    const bool read = lists(kRead, extension);
    if (!read && !lists(kNotRead, extension)) {
      ++listing.other_files;
    } else if (slash == std::string::npos) {
      ++listing.outside_images;
    } else if (read) {
      images[path.substr(0, slash)].push_back(path);
    } else {
      listing.unreadable.push_back(path);
    }
  }
  listing.hidden_folders = static_cast<std::int64_t>(hidden.size());
  std::sort(listing.unreadable.begin(), listing.unreadable.end());
  for (auto& [folder, files] : images) {
    std::sort(files.begin(), files.end());
    for (std::string& file : files) {
      listing.images.push_back({std::move(file), listing.folders.size()});
    }
    listing.folders.push_back(folder);
  }
  return listing;
}

ImageListing list_images(const Manifest& manifest) {
  std::vector<std::string> paths;
  paths.reserve(manifest.size());
  for (const ManifestEntry& entry : manifest) {
    paths.push_back(entry.folder ? entry.path + "/" : entry.path);
  }
  return list_images(paths);
}

std::string passed_over(const ImageListing& listing) {
  std::string text;
  const auto add = [&](std::int64_t count, const char* one, const char* many) {
    if (count == 0) return;
    text += (text.empty() ? "" : ", ") + counted(count, one, many);
  };
  add(listing.hidden_folders, "hidden folder", "hidden folders");
  add(listing.hidden_files, "hidden file", "hidden files");
  add(listing.other_files, "file that is no image", "files that are no images");
  add(listing.outside_images, "image outside the folders of classes",
      "images outside the folders of classes");
  return text;
}

void check_listing(const ImageListing& listing, const std::string& where) {
  const auto refuse = [&](const std::string& why, const std::string& file) {
    throw Error(ErrorKind::kData, fmt::format("'{}': {}", where, why), {{"file", file}});
  };
  if (!listing.unreadable.empty()) {
    const std::string& first = listing.unreadable.front();
    refuse(fmt::format(
               "{} in formats that are not read, '{}' the first; convert them to PNG or "
               "take them out of the folder (read are .jpg, .jpeg and .png)",
               counted(static_cast<std::int64_t>(listing.unreadable.size()), "image", "images"),
               first),
           where + "/" + first);
  }
  if (listing.folders.empty()) {
    refuse("has no folder of a class; images lie as CLASS/NAME.png below it", where);
  }
  if (listing.images.empty()) {
    refuse(fmt::format("has no .jpg, .jpeg or .png file in the folders of its classes ('{}'{})",
                       listing.folders.front(), listing.folders.size() > 1 ? ", ..." : ""),
           where);
  }
}

}  // namespace assay
