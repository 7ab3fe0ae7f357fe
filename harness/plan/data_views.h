#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "harness/base/json.h"
#include "harness/contract/catalogue.h"
#include "harness/formats/class_list.h"
#include "harness/plan/inputs.h"
#include "harness/spec/sweep.h"

namespace assay::plan {

// The parameter of metrics and data entries that says how images are prepared.
inline constexpr const char* kPreprocess = "preprocess";

// A data set as one model sees it: what of the model enters the recipes of its stages.
struct DataView {
  std::size_t data = 0;  // index into Sweep::data
  Json preprocess;       // of an image folder, as resolve_preprocessing(); otherwise null
  ClassList classes;     // of an image folder; otherwise empty

  bool operator==(const DataView& other) const {
    return data == other.data && preprocess == other.preprocess &&
           classes.names == other.classes.names;
  }
};

// Resolves views, each once. What of image folders depends on models stands here: class numbers
// (harness/formats/class_list.h) and preprocessing, which is the metric's, else the data entry's,
// else the checkpoint's.
class DataViews {
 public:
  DataViews(const spec::Sweep& sweep, const Catalogue& catalogue, InputDigests& digests)
      : sweep_(sweep), catalogue_(catalogue), digests_(digests) {}

  // Index of the view. `preprocess`: of a metric, "auto" leaves it to the data entry. Throws
  // Error(kConfig) at `place` (the metric's entry) or at the data entry.
  int view(std::size_t data, std::size_t model, const std::string& preprocess,
           const spec::Place& place);
  const DataView& operator[](int view) const { return views_[static_cast<std::size_t>(view)]; }

  // Whether a reader's parameter is read here alone: it enters recipes by what it resolves to.
  static bool resolves(const ReaderDeclaration& reader, const std::string& parameter);

  // Whether images of the data set are prepared at all, and whether its entry says how.
  bool prepares(std::size_t data) const;
  bool states_preprocessing(std::size_t data) const;

 private:
  // A model's config.json, or its `config:`.
  struct Configuration {
    Json json;
    std::string file;  // "": there is none
  };

  const Configuration& configuration_of(std::size_t model);
  Json preprocessing(const spec::DataSet& data, const ReaderDeclaration& reader, std::size_t model,
                     const std::string& metric, const spec::Place& place);
  ClassList classes(const spec::DataSet& data, std::size_t model);
  std::filesystem::path class_folder(const spec::DataSet& data) const;

  const spec::Sweep& sweep_;
  const Catalogue& catalogue_;
  InputDigests& digests_;
  std::vector<DataView> views_;
  std::map<std::tuple<std::size_t, std::size_t, std::string>, int> known_;
  std::map<std::size_t, Configuration> configurations_;
  std::map<std::pair<std::size_t, std::size_t>, ClassList> classes_;
};

}  // namespace assay::plan
