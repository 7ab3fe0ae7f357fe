#include "datasets/headers.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "datasets/file_head.h"
#include "datasets/files.h"
#include "datasets/idx.h"
#include "datasets/image_header.h"
#include "datasets/preprocess.h"
#include "datasets/text_rules.h"
#include "datasets/text_set.h"
#include "datasets/utf8.h"
#include "harness/core/image_listing.h"
#include "harness/core/manifest.h"

namespace assay::datasets {
namespace {

constexpr std::string_view kIdxMark("\0\0\x08", 3);
constexpr std::size_t kIdxHeaderBytes = 4 + 4 * 4;
constexpr std::int64_t kMostBytes = 4;  // of a character in UTF-8
constexpr std::size_t kTextBlock = std::size_t{64} << 10;
constexpr std::int64_t kCifarRecord = 3 * 32 * 32 + 1;
constexpr std::size_t kImagesLookedAt = 1000;
constexpr std::size_t kProblemsTold = 3;
constexpr std::size_t kMaxLabelBytes = std::size_t{64} << 20;

[[noreturn]] void refuse(const InputFile& file, const std::string& why) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", file.path.string(), why),
              {{"file", file.path.string()}});
}

class Looking {
 public:
  Looking(const Json& data, const FileSet& files) : data_(data), files_(files) {}

  DataHeaders look() {
    attempt([&] {
      const std::string reader = reader_name(data_);
      if (reader == "idx" || reader == "fashion_mnist") idx(reader);
      if (reader == "cifar_binary") cifar();
      if (reader == "image_folder") folder();
      if (reader == "text") text();
      if (reader == "austen") austen();
    });
    return std::move(headers_);
  }

 private:
  void attempt(const std::function<void()>& part) {
    try {
      part();
    } catch (const Error& error) {
      headers_.problems.push_back(error);
    }
  }

  // The shape that an IDX file's header gives, checked against the size of the file. A gzip file
  // says how long it is in its last four bytes; where they do not fit, the whole file is read,
  // which tells a damaged one from one of several parts.
  std::vector<std::int64_t> idx_shape_of(const InputFile& file) {
    const FileHead head = read_head(file, kIdxHeaderBytes);
    headers_.bytes += head.stored_bytes;
    try {
      return idx_shape(head.bytes, head.inflated_bytes, file.path.string());
    } catch (const Error&) {
      if (!head.compressed || !head.bytes.starts_with(kIdxMark)) throw;
      return read_idx(file).shape;
    }
  }

  void idx(const std::string& reader) {
    std::vector<std::int64_t> shape;
    attempt([&] {
      const InputFile& file = file_of_role(files_, "images", reader);
      shape = idx_shape_of(file);
      if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
      if (shape.size() != 4) {
        refuse(file, fmt::format("images have 3 or 4 dimensions, not {}; is it the file of labels?",
                                 shape.size()));
      }
      headers_.images = shape[0];
      headers_.shape.assign(shape.begin() + 1, shape.end());
    });
    attempt([&] {
      const InputFile& file = file_of_role(files_, "labels", reader);
      const std::vector<std::int64_t> labels = idx_shape_of(file);
      if (labels.size() != 1) {
        refuse(file, fmt::format("labels have 1 dimension, not {}; is it the file of images?",
                                 labels.size()));
      }
      if (headers_.images > 0 && labels[0] != headers_.images) {
        refuse(file, fmt::format("{} labels for the {} images of {}", labels[0], headers_.images,
                                 file_of_role(files_, "images", reader).path.string()));
      }
      count_classes(file, reader == "idx" ? integer_parameter(data_, "classes", 0) : 10);
    });
  }

  // Labels are small: all of them are read.
  void count_classes(const InputFile& file, std::int64_t declared) {
    headers_.classes = declared;
    const FileHead head = read_head(file, kIdxHeaderBytes);
    if (head.inflated_bytes > static_cast<std::int64_t>(kMaxLabelBytes)) return;
    const IdxArray labels = read_idx(file);
    const auto largest =
        std::max_element(labels.bytes.begin(), labels.bytes.end(), [](char a, char b) {
          return static_cast<unsigned char>(a) < static_cast<unsigned char>(b);
        });
    const std::int64_t classes = static_cast<unsigned char>(*largest) + std::int64_t{1};
    if (declared > 0 && classes > declared) {
      refuse(file, fmt::format("record {}: label {}; legal: 0 to {}",
                               largest - labels.bytes.begin(), classes - 1, declared - 1));
    }
    if (declared == 0) headers_.classes = classes;
  }

  void cifar() {
    headers_.classes = 10;
    headers_.shape = {3, 32, 32};
    bool compressed = false;
    for (const InputFile& file : all_files(files_, "cifar_binary")) {
      attempt([&] {
        const FileHead head = read_head(file, 1);
        headers_.bytes += head.stored_bytes;
        // The length that a gzip file gives is not to be relied on.
        if (!head.compressed &&
            (head.inflated_bytes == 0 || head.inflated_bytes % kCifarRecord != 0)) {
          refuse(file,
                 fmt::format("{} bytes are no whole number of records of {} bytes; CIFAR-10's "
                             "binary version is meant",
                             head.inflated_bytes, kCifarRecord));
        }
        const auto label = static_cast<unsigned char>(head.bytes.empty() ? 0 : head.bytes[0]);
        if (label > 9) refuse(file, fmt::format("record 0: label {}; legal: 0 to 9", label));
        headers_.images += head.inflated_bytes / kCifarRecord;
        compressed = compressed || head.compressed;
      });
    }
    if (compressed) headers_.images = 0;
  }

  // Up to a thousand images, evenly spread, show the format and size of all.
  void folder() {
    const InputFile& folder = *all_files(files_, "image_folder").begin();
    const Manifest manifest = read_manifest(folder);
    const ImageListing listing = list_images(manifest);
    std::vector<const ManifestEntry*> images;
    for (const ListedImage& image : listing.images) {
      images.push_back(&*std::lower_bound(
          manifest.begin(), manifest.end(), image.path,
          [](const ManifestEntry& each, const std::string& path) { return each.path < path; }));
    }
    attempt([&] {
      check_listing(listing, folder.path.string());
      headers_.images = static_cast<std::int64_t>(listing.images.size());
      const Json classes = data_.value("classes", Json::object());
      headers_.classes = classes.is_object() && classes.contains("count")
                             ? classes["count"].get<std::int64_t>()
                             : static_cast<std::int64_t>(listing.folders.size());
    });
    attempt([&] {
      const Preprocessing preprocessing = preprocessing_from(data_.value("preprocess", Json()));
      const std::size_t looked = std::min(images.size(), kImagesLookedAt);
      for (std::size_t i = 0; i < looked; ++i) {
        const std::size_t at = looked == 1 ? 0 : i * (images.size() - 1) / (looked - 1);
        attempt([&] { image(file_in(folder, *images[at]), preprocessing); });
        if (headers_.problems.size() >= kProblemsTold) break;
      }
      if (preprocessing.crop > 0) headers_.shape = {3, preprocessing.crop, preprocessing.crop};
    });
  }

  // Images that nothing brings to one size have one already.
  void image(const InputFile& file, const Preprocessing& preprocessing) {
    const std::optional<ImageSize> read = read_image_size(file);
    if (!read) return;
    const ImageSize size = *read;
    require_sides(preprocessing, size.width, size.height, file.path.string());
    if (preprocessing.crop > 0) return;
    const std::int64_t exact = preprocessing.exact;
    const std::vector<std::int64_t> shape{3, exact > 0 ? exact : size.height,
                                          exact > 0 ? exact : size.width};
    if (headers_.shape.empty()) headers_.shape = shape;
    if (exact > 0 && (size.height != exact || size.width != exact)) {
      refuse(file, fmt::format("{} x {} pixels; preprocessing '{}' takes {} x {}", size.width,
                               size.height, preprocessing.name, exact, exact));
    }
    if (headers_.shape != shape) {
      refuse(file, fmt::format("{} x {} pixels, others {} x {}; name a `preprocess` that brings "
                               "them to one size",
                               size.width, size.height, headers_.shape[2], headers_.shape[1]));
    }
  }

  void text() {
    const std::int64_t most = integer_parameter(data_, "max_characters", 0);
    const std::string separator = text_parameter(data_, "separator", "");
    check_separator(separator, text_parameter(data_, "join", "file"));
    const bool cut = most > 0 && separator.empty();
    // Where nothing else changes the text, its beginning shows what is left.
    const bool shown = cut && !bool_parameter(data_, "strip", false) &&
                       text_parameter(data_, "join", "file") == "file";
    std::int64_t characters = 0;
    bool known = true;
    for (const InputFile& file : all_files(files_, "text")) {
      attempt([&] {
        const FileHead head = read_head(file, kTextBlock);
        headers_.bytes += head.stored_bytes;
        const std::string_view whole = without_cut_character(head);
        check_utf8(whole, file.path.string());
        std::string_view read = whole;
        std::int64_t bytes = head.inflated_bytes;
        if (shown) read = first_characters(whole, most);
        if (read.size() < whole.size()) bytes = static_cast<std::int64_t>(read.size());
        if (cut && bytes / kMostBytes > most) bytes = most * kMostBytes;
        characters += bytes;
        // What a gzip file says of its length is that of its last stream.
        known = known && (!head.compressed || head.bytes.size() < kTextBlock);
        if (headers_.beginning.empty()) headers_.beginning = read;
      });
    }
    headers_.characters = known && headers_.problems.empty() ? characters : -1;
    if (known && characters == 0 && headers_.problems.empty()) {
      headers_.characters = -1;  // that it is too short for a window need not be said, too
      refuse(*all_files(files_, "text").begin(), "holds no text; is it the right file?");
    }
  }

  void austen() {
    const std::int64_t most = integer_parameter(data_, "max_characters", 0);
    const std::string split = data_.value("split", "train");
    const auto novels = texts_parameter(data_, split).size();
    if (novels == 0) refuse_no_novel(split);
    if (most > 0 && most < static_cast<std::int64_t>(kTextBlock))
      headers_.characters = most * kMostBytes * static_cast<std::int64_t>(novels);
  }

  // A character may be cut where the head ends.
  static std::string_view without_cut_character(const FileHead& head) {
    std::string_view bytes = head.bytes;
    if (bytes.size() < kTextBlock) return bytes;
    for (int i = 0; i < 4 && !bytes.empty(); ++i) {
      const auto last = static_cast<unsigned char>(bytes.back());
      bytes.remove_suffix(1);
      if ((last & 0xC0) != 0x80) break;  // it began a character
    }
    return bytes;
  }

  const Json& data_;
  const FileSet& files_;
  DataHeaders headers_;
};

}  // namespace

DataHeaders read_headers(const Json& data, const FileSet& files) {
  return Looking(data, files).look();
}

}  // namespace assay::datasets
