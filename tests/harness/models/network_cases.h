#pragma once

#include <ATen/core/Tensor.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "harness/models/network.h"

namespace assay::models {

// $ASSAY_TEST_DATA, default ../shared from the source root where tests run.
inline std::filesystem::path test_data() {
  const char* given = std::getenv("ASSAY_TEST_DATA");
  return given != nullptr ? given : "../shared";
}

// Deterministic values out of a tensor's name: float64 in [-1, 1).
at::Tensor hash_values(const std::string& name, const std::vector<std::int64_t>& shape);

// Sets every parameter and buffer of the network (converted to `dtype`) from its name.
void hash_fill(Network& network, at::ScalarType dtype);

// Images 2 t from the name "input".
at::Tensor hash_images(const std::vector<std::int64_t>& shape, at::ScalarType dtype);

// Wants everything, keeps everything that it is shown, counts.
class Recorder : public Tap {
 public:
  at::Tensor operator()(std::string_view site, const at::Tensor& value) override;
  bool wants(std::string_view) const override { return true; }

  std::vector<std::string> order;
  std::map<std::string, at::Tensor> values;
};

// Expects of a network and of a pass that was recorded: layers name parameters and sites that
// exist, every site fires once, and those of sites() in their order.
void expect_sites(const Network& network, const Recorder& recorder);

// The site that carries the input of a unit's first layer.
std::string input_site_of(const Network& network, std::int64_t unit);

}  // namespace assay::models
