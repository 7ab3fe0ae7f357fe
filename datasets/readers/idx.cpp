#include "datasets/files.h"
#include "datasets/readers/idx_files.h"

namespace assay::datasets {
namespace {

ReaderDeclaration declaration() {
  return {.name = "idx",
          .title = "IDX files as of MNIST, plain or gzip",
          .task = "classification",
          .parameters = {{.name = "classes",
                          .type = ParameterType::kInteger,
                          .default_value = 0,
                          .minimum = 0,
                          .maximum = 256,
                          .doc = "Number of classes; 0 takes the largest label plus one."}},
          .roles = {"images", "labels"}};
}

std::int64_t classes_of(const Json& data) { return integer_parameter(data, "classes", 0); }

}  // namespace

Reader idx_reader() {
  return {.declaration = declaration(),
          .open_images =
              [](const Json& data, const FileSet& files, const std::vector<std::string>&) {
                return open_idx(data, files, classes_of(data));
              },
          .scan = [](HeaderScan& scan) { scan_idx(scan, classes_of(scan.data)); }};
}

}  // namespace assay::datasets
