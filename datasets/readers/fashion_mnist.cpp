#include "datasets/readers/idx_files.h"

namespace assay::datasets {
namespace {

constexpr std::int64_t kClasses = 10;

ReaderDeclaration declaration() {
  return {
      .name = "fashion_mnist",
      .title = "Fashion-MNIST as in Debian's dataset-fashion-mnist",
      .task = "classification",
      .roots = {"/usr/share/datasets/fashion-mnist"},
      .files = {
          {"train",
           {{"images", "train-images-idx3-ubyte.gz"}, {"labels", "train-labels-idx1-ubyte.gz"}}},
          {"test",
           {{"images", "t10k-images-idx3-ubyte.gz"}, {"labels", "t10k-labels-idx1-ubyte.gz"}}}}};
}

}  // namespace

Reader fashion_mnist_reader() {
  return {.declaration = declaration(),
          .open_images =
              [](const Json& data, const FileSet& files, const std::vector<std::string>&) {
                return open_idx(data, files, kClasses);
              },
          .scan = [](HeaderScan& scan) { scan_idx(scan, kClasses); }};
}

}  // namespace assay::datasets
