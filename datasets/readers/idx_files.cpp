#include "datasets/readers/idx_files.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "datasets/file_head.h"
#include "datasets/files.h"
#include "datasets/idx.h"
#include "datasets/memory_images.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::string_view kIdxMark("\0\0\x08", 3);
constexpr std::size_t kIdxHeaderBytes = 4 + 4 * 4;
constexpr std::size_t kMaxLabelBytes = std::size_t{64} << 20;

// The shape that an IDX file's header gives, checked against the size of the file. A gzip file
// says how long it is in its last four bytes; where they do not fit, the whole file is read,
// which tells a damaged one from one of several parts.
std::vector<std::int64_t> idx_shape_of(HeaderScan& scan, const InputFile& file) {
  const FileHead head = read_head(file, kIdxHeaderBytes);
  scan.headers.bytes += head.stored_bytes;
  try {
    return idx_shape(head.bytes, head.inflated_bytes, file.path.string());
  } catch (const Error&) {
    if (!head.compressed || !head.bytes.starts_with(kIdxMark)) throw;
    return read_idx(file).shape;
  }
}

// Labels are small: all of them are read.
void count_classes(HeaderScan& scan, const InputFile& file, std::int64_t declared) {
  scan.headers.classes = declared;
  const FileHead head = read_head(file, kIdxHeaderBytes);
  if (head.inflated_bytes > static_cast<std::int64_t>(kMaxLabelBytes)) return;
  const IdxArray labels = read_idx(file);
  const auto largest = std::max_element(
      labels.bytes.begin(), labels.bytes.end(),
      [](char a, char b) { return static_cast<unsigned char>(a) < static_cast<unsigned char>(b); });
  const std::int64_t classes = static_cast<unsigned char>(*largest) + std::int64_t{1};
  if (declared > 0 && classes > declared) {
    scan.refuse(file, fmt::format("record {}: label {}; legal: 0 to {}",
                                  largest - labels.bytes.begin(), classes - 1, declared - 1));
  }
  if (declared == 0) scan.headers.classes = classes;
}

}  // namespace

std::unique_ptr<ImageSet> open_idx(const Json& data, const FileSet& files, std::int64_t classes) {
  const std::string reader = reader_name(data);
  const InputFile& images = file_of_role(files, "images", reader);
  const InputFile& labels = file_of_role(files, "labels", reader);
  IdxArray pixels = read_idx(images);
  const IdxArray names = read_idx(labels);
  if (pixels.shape.size() == 3) {
    pixels.shape.insert(pixels.shape.begin() + 1, 1);
  }
  if (pixels.shape.size() != 4) {
    HeaderScan::refuse(images,
                       fmt::format("images have 3 or 4 dimensions, not {}", pixels.shape.size()));
  }
  if (names.shape.size() != 1) {
    HeaderScan::refuse(labels, fmt::format("labels have 1 dimension, not {}", names.shape.size()));
  }
  if (names.shape[0] != pixels.shape[0]) {
    HeaderScan::refuse(labels, fmt::format("{} labels for the {} images of {}", names.shape[0],
                                           pixels.shape[0], images.path.string()));
  }
  const at::Tensor label = byte_tensor(names.bytes, names.shape).to(at::kLong);
  return memory_images(byte_tensor(pixels.bytes, pixels.shape), label,
                       classes > 0 ? classes : label.max().item<std::int64_t>() + 1,
                       labels.path.string());
}

void scan_idx(HeaderScan& scan, std::int64_t classes) {
  const std::string reader = reader_name(scan.data);
  std::vector<std::int64_t> shape;
  scan.attempt([&] {
    const InputFile& file = file_of_role(scan.files, "images", reader);
    shape = idx_shape_of(scan, file);
    if (shape.size() == 3) shape.insert(shape.begin() + 1, 1);
    if (shape.size() != 4) {
      scan.refuse(file,
                  fmt::format("images have 3 or 4 dimensions, not {}; is it the file of labels?",
                              shape.size()));
    }
    scan.headers.images = shape[0];
    scan.headers.shape.assign(shape.begin() + 1, shape.end());
  });
  scan.attempt([&] {
    const InputFile& file = file_of_role(scan.files, "labels", reader);
    const std::vector<std::int64_t> labels = idx_shape_of(scan, file);
    if (labels.size() != 1) {
      scan.refuse(file, fmt::format("labels have 1 dimension, not {}; is it the file of images?",
                                    labels.size()));
    }
    if (scan.headers.images > 0 && labels[0] != scan.headers.images) {
      scan.refuse(file,
                  fmt::format("{} labels for the {} images of {}", labels[0], scan.headers.images,
                              file_of_role(scan.files, "images", reader).path.string()));
    }
    count_classes(scan, file, classes);
  });
}

}  // namespace assay::datasets
