#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/formats/input_file.h"
#include "harness/models/network.h"

namespace assay::models {

// A network as far as its configuration and the headers of its weights tell.
struct NetworkHeaders {
  std::shared_ptr<const Network> network;  // shapes without memory; null: the configuration is none
  std::int64_t parameters = 0;             // learnable values
  std::int64_t bytes = 0;                  // of the stored tensors
  std::string dtype;            // "F32", or "BF16, F32" where several occur; "": nothing is stored
  std::vector<Error> problems;  // for which loading it would fail
};

// Reads no weights, but for a part of a head that config.json ties to the embedding. `family`: as
// load_network. Never throws Error: what is wrong stands in `problems`.
NetworkHeaders read_headers(const FileSet& checkpoint, const std::string& family);

// Of a network that a configuration alone describes.
NetworkHeaders headers_of_configuration(const std::string& family, const Json& configuration);

}  // namespace assay::models
