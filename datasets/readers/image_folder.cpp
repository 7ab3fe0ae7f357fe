#include "datasets/image_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "datasets/files.h"
#include "datasets/image_header.h"
#include "datasets/preprocess.h"
#include "datasets/reader.h"
#include "harness/base/error.h"
#include "harness/formats/image_listing.h"
#include "harness/formats/manifest.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kImagesLookedAt = 1000;
constexpr std::size_t kProblemsTold = 3;

ParameterSchema choice(const char* name, std::vector<std::string> choices, const char* doc) {
  return {.name = name,
          .type = ParameterType::kString,
          .default_value = choices.front(),
          .choices = std::move(choices),
          .doc = doc};
}

ReaderDeclaration declaration() {
  return {.name = "image_folder",
          .title = "A folder a split, in it a folder a class with JPEG or PNG files",
          .task = "classification",
          .parameters =
              {choice("preprocess", preprocessing_names(),
                      "Resize and crop, unless a metric names another; auto: what the checkpoint's "
                      "pretrained_cfg says, if it has one."),
               {.name = "classes",
                .type = ParameterType::kPath,
                .default_value = "",
                .doc = "File with the class of each output, a folder name a line."},
               choice("class_order", {"auto", "natural", "bytes"},
                      "How sorting the training split's folders numbers the classes; auto: by the "
                      "checkpoint's class names, or where all orders agree."),
               choice("alpha", {"drop", "white"},
                      "Transparent pixels: their colour, as Pillow, or composed on white."),
               choice("grey16", {"clip", "high"},
                      "16-bit grey: clipped at 255, as Pillow, or its upper byte.")},
          .folder = true};
}

PixelRules pixel_rules(const Json& data) {
  return {
      .alpha = text_parameter(data, "alpha", "drop") == "white" ? Alpha::kWhite : Alpha::kDrop,
      .grey16 = text_parameter(data, "grey16", "clip") == "high" ? Grey16::kHigh : Grey16::kClip};
}

std::unique_ptr<ImageSet> open(const Json& data, const FileSet& files,
                               const std::vector<std::string>& class_names) {
  const auto preprocess = data.find("preprocess");
  return open_image_folder(all_files(files, "image_folder")[0], class_names,
                           preprocessing_from(preprocess == data.end() ? Json() : *preprocess),
                           pixel_rules(data));
}

// Images that nothing brings to one size have one already.
void scan_image(HeaderScan& scan, const InputFile& file, const Preprocessing& preprocessing) {
  const std::optional<ImageSize> read = read_image_size(file);
  if (!read) return;
  const ImageSize size = *read;
  require_sides(preprocessing, size.width, size.height, file.path.string());
  if (preprocessing.crop > 0) return;
  const std::int64_t exact = preprocessing.exact;
  const std::vector<std::int64_t> shape{3, exact > 0 ? exact : size.height,
                                        exact > 0 ? exact : size.width};
  if (scan.headers.shape.empty()) scan.headers.shape = shape;
  if (exact > 0 && (size.height != exact || size.width != exact)) {
    scan.refuse(file, fmt::format("{} x {} pixels; preprocessing '{}' takes {} x {}", size.width,
                                  size.height, preprocessing.name, exact, exact));
  }
  if (scan.headers.shape != shape) {
    scan.refuse(file,
                fmt::format("{} x {} pixels, others {} x {}; name a `preprocess` that brings "
                            "them to one size",
                            size.width, size.height, scan.headers.shape[2], scan.headers.shape[1]));
  }
}

// Up to a thousand images, evenly spread, show the format and size of all.
void scan(HeaderScan& scan) {
  const InputFile& folder = *all_files(scan.files, "image_folder").begin();
  const Manifest manifest = read_manifest(folder);
  const ImageListing listing = list_images(manifest);
  std::vector<const ManifestEntry*> images;
  for (const ListedImage& image : listing.images) {
    images.push_back(&*std::lower_bound(
        manifest.begin(), manifest.end(), image.path,
        [](const ManifestEntry& each, const std::string& path) { return each.path < path; }));
  }
  scan.attempt([&] {
    check_listing(listing, folder.path.string());
    scan.headers.images = static_cast<std::int64_t>(listing.images.size());
    const Json classes = scan.data.value("classes", Json::object());
    scan.headers.classes = classes.is_object() && classes.contains("count")
                               ? classes["count"].get<std::int64_t>()
                               : static_cast<std::int64_t>(listing.folders.size());
  });
  scan.attempt([&] {
    const Preprocessing preprocessing = preprocessing_from(scan.data.value("preprocess", Json()));
    const std::size_t looked = std::min(images.size(), kImagesLookedAt);
    for (std::size_t i = 0; i < looked; ++i) {
      const std::size_t at = looked == 1 ? 0 : i * (images.size() - 1) / (looked - 1);
      scan.attempt([&] { scan_image(scan, file_in(folder, *images[at]), preprocessing); });
      if (scan.headers.problems.size() >= kProblemsTold) break;
    }
    if (preprocessing.crop > 0) scan.headers.shape = {3, preprocessing.crop, preprocessing.crop};
  });
}

}  // namespace

Reader image_folder_reader() {
  return {.declaration = declaration(), .open_images = open, .scan = scan};
}

}  // namespace assay::datasets
