#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/formats/input_file.h"

namespace assay::datasets {

// A split as far as headers, first bytes and sizes of files tell.
struct DataHeaders {
  std::int64_t bytes = 0;           // of the files, as stored; of a folder: not counted
  std::int64_t images = 0;          // 0: not known
  std::int64_t classes = 0;         // 0: not known
  std::vector<std::int64_t> shape;  // [C, H, W] of every image; empty: not known, or they differ
  std::string beginning;            // of the first text: at most 64 KiB of valid UTF-8
  std::int64_t characters = -1;     // bytes of text at most; -1: not known
  std::vector<Error> problems;      // for which opening the split would fail
};

// What the headers tell of a text once it is tokenized.
struct TokenFacts {
  std::int64_t largest_id = -1;   // in the first block of the text
  std::int64_t most_tokens = -1;  // that the text can have; -1: not known
  bool has_bos = false;
};

// Same arguments as open_images and open_documents; which of them a reader has, its name says.
// Never throws Error: what is wrong stands in `problems`.
DataHeaders read_headers(const Json& data, const FileSet& files);

}  // namespace assay::datasets
