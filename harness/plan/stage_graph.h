#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "harness/contract/catalogue.h"

namespace assay::plan {

// A declared stage, and what it depends on through all of its inputs. Two requests for it that
// agree in these are the same work.
struct DeclaredStage {
  const StageDeclaration* declaration = nullptr;
  std::size_t catalogue = 0;        // index of the catalogue that offers it
  std::vector<std::size_t> inputs;  // indices of declared stages, as declaration->inputs
  std::vector<std::string> reads;   // parameters, sorted, without bits
  bool model = false;
  bool data = false;  // data and split
  bool weight_bits = false;
  bool activation_bits = false;
  bool cache_bits = false;
  bool seed = false;
  bool calibration_seed = false;
  bool network = false;
};

// The stages of all catalogues. Throws Error(kData) for a stage that rests on itself or on one that
// nobody offers.
class StageGraph {
 public:
  explicit StageGraph(const std::vector<Catalogue>& catalogues);

  std::size_t index_of(std::string_view stage) const;
  const DeclaredStage& operator[](std::size_t index) const { return stages_[index]; }
  std::size_t size() const { return stages_.size(); }

 private:
  void close(std::size_t index, std::vector<int>& colours);

  std::vector<DeclaredStage> stages_;
  std::unordered_map<std::string_view, std::size_t> index_;
};

}  // namespace assay::plan
