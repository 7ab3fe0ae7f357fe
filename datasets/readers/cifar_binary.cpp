#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/compressed.h"
#include "datasets/file_head.h"
#include "datasets/files.h"
#include "datasets/memory_images.h"
#include "datasets/reader.h"
#include "harness/base/error.h"

// CIFAR-10 binary files: records of 3,073 bytes, label and 3 x 32 x 32 values.

namespace assay::datasets {
namespace {

constexpr std::int64_t kPixels = std::int64_t{3} * 32 * 32;
constexpr std::int64_t kRecord = kPixels + 1;
constexpr std::int64_t kClasses = 10;
constexpr std::size_t kMaxFileBytes = std::size_t{4} << 30;

std::unique_ptr<ImageSet> open(const Json&, const FileSet& given, const std::vector<std::string>&) {
  const FileSet& files = all_files(given, "cifar_binary");
  std::vector<at::Tensor> images;
  std::vector<at::Tensor> labels;
  for (const InputFile& file : files) {
    const std::string bytes = read_inflated(file, kMaxFileBytes);
    const auto size = static_cast<std::int64_t>(bytes.size());
    if (size == 0 || size % kRecord != 0) {
      HeaderScan::refuse(file, fmt::format("{} bytes are no whole number of records of {} bytes; "
                                           "CIFAR-10's binary version is meant",
                                           size, kRecord));
    }
    const at::Tensor records = byte_tensor(bytes, {size / kRecord, kRecord});
    const at::Tensor label = records.select(1, 0).to(at::kLong);
    const at::Tensor bad = (label >= kClasses).nonzero();
    if (bad.numel() > 0) {
      const auto record = bad[0].item<std::int64_t>();
      HeaderScan::refuse(file, fmt::format("record {}: label {}; legal: 0 to 9", record,
                                           label[record].item<std::int64_t>()));
    }
    images.push_back(records.narrow(1, 1, kPixels).reshape({-1, 3, 32, 32}));
    labels.push_back(label);
  }
  return memory_images(at::cat(images), at::cat(labels), kClasses, files[0].path.string());
}

void scan(HeaderScan& scan) {
  scan.headers.classes = kClasses;
  scan.headers.shape = {3, 32, 32};
  bool compressed = false;
  for (const InputFile& file : all_files(scan.files, "cifar_binary")) {
    scan.attempt([&] {
      const FileHead head = read_head(file, 1);
      scan.headers.bytes += head.stored_bytes;
      // The length that a gzip file gives is not to be relied on.
      if (!head.compressed && (head.inflated_bytes == 0 || head.inflated_bytes % kRecord != 0)) {
        scan.refuse(file,
                    fmt::format("{} bytes are no whole number of records of {} bytes; CIFAR-10's "
                                "binary version is meant",
                                head.inflated_bytes, kRecord));
      }
      const auto label = static_cast<unsigned char>(head.bytes.empty() ? 0 : head.bytes[0]);
      if (label > 9) scan.refuse(file, fmt::format("record 0: label {}; legal: 0 to 9", label));
      scan.headers.images += head.inflated_bytes / kRecord;
      compressed = compressed || head.compressed;
    });
  }
  if (compressed) scan.headers.images = 0;
}

}  // namespace

Reader cifar_binary_reader() {
  return {
      .declaration = {.name = "cifar_binary",
                      .title =
                          "CIFAR-10, binary version: one or several files of 3,073-byte records",
                      .task = "classification"},
      .open_images = open,
      .scan = scan};
}

}  // namespace assay::datasets
