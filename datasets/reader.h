#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "datasets/headers.h"
#include "datasets/image_set.h"
#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/formats/input_file.h"

// A reader of data, as one value: what it declares and how it opens a split. Each file of
// datasets/readers defines one; datasets/CMakeLists.txt lists them.

namespace assay::datasets {

// What looking at the headers of a split collects.
struct HeaderScan {
  const Json& data;  // recipe()["data"]
  const FileSet& files;
  DataHeaders headers = {};

  // What `look` throws becomes a problem, and the scan goes on.
  void attempt(const std::function<void()>& look);
  // Throws Error(kData) naming the file.
  [[noreturn]] static void refuse(const InputFile& file, const std::string& why);
};

struct Reader {
  ReaderDeclaration declaration;

  // A reader has images or documents; arguments as of datasets::open_images and open_documents.
  std::unique_ptr<ImageSet> (*open_images)(const Json& data, const FileSet& files,
                                           const std::vector<std::string>& class_names) = nullptr;
  std::vector<std::string> (*open_documents)(const Json& data, const FileSet& files) = nullptr;

  // Fills `headers` by headers, first bytes and sizes of files.
  void (*scan)(HeaderScan& scan) = nullptr;
};

// Those of datasets/CMakeLists.txt, in its order.
std::vector<Reader> built_in_readers();

// The reader that data["reader"] names. Throws Error(kConfig) with the legal names.
const Reader& reader_of(const Json& data);

// Every reader, for the catalogue.
std::vector<ReaderDeclaration> readers();

}  // namespace assay::datasets
