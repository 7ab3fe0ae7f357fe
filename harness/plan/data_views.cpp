#include "harness/plan/data_views.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/suggest.h"
#include "harness/formats/image_preprocessing.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;
using Kind = InputDigests::Kind;
using spec::refuse;

constexpr const char* kClasses = "classes";
constexpr const char* kClassOrder = "class_order";

const ParameterSchema* schema_of(const ReaderDeclaration& reader, const std::string& name) {
  const auto found = std::find_if(reader.parameters.begin(), reader.parameters.end(),
                                  [&](const ParameterSchema& each) { return each.name == name; });
  return found == reader.parameters.end() ? nullptr : &*found;
}

std::string text_of(const spec::DataSet& data, const char* name, const char* otherwise) {
  const auto found = data.parameters.find(name);
  return found == data.parameters.end() || !found->is_string() ? otherwise
                                                               : found->get<std::string>();
}

}  // namespace

int DataViews::view(std::size_t data, std::size_t model, const std::string& preprocess,
                    const spec::Place& place) {
  const auto [known, fresh] = known_.try_emplace(std::make_tuple(data, model, preprocess), -1);
  if (!fresh && known->second >= 0) return known->second;
  const spec::DataSet& set = sweep_.data[data];
  const ReaderDeclaration& reader = *catalogue_.find_reader(set.reader);
  DataView view{.data = data};
  view.preprocess = preprocessing(set, reader, model, preprocess, place);
  if (schema_of(reader, kClassOrder) != nullptr) {
    const auto key = std::make_pair(data, model);
    if (!classes_.contains(key)) classes_.emplace(key, classes(set, model));
    view.classes = classes_.at(key);
  }
  const auto same = std::find(views_.begin(), views_.end(), view);
  known->second = static_cast<int>(same - views_.begin());
  if (same == views_.end()) views_.push_back(std::move(view));
  return known->second;
}

bool DataViews::resolves(const ReaderDeclaration& reader, const std::string& parameter) {
  if (parameter == kPreprocess) return schema_of(reader, kPreprocess) != nullptr;
  return (parameter == kClasses || parameter == kClassOrder) &&
         schema_of(reader, kClassOrder) != nullptr;
}

bool DataViews::prepares(std::size_t data) const {
  return schema_of(*catalogue_.find_reader(sweep_.data[data].reader), kPreprocess) != nullptr;
}

bool DataViews::states_preprocessing(std::size_t data) const {
  return text_of(sweep_.data[data], kPreprocess, kPreprocessAuto) != kPreprocessAuto;
}

Json DataViews::preprocessing(const spec::DataSet& data, const ReaderDeclaration& reader,
                              std::size_t model, const std::string& metric,
                              const spec::Place& place) {
  const bool given = metric != kPreprocessAuto && !metric.empty();
  const ParameterSchema* schema = schema_of(reader, kPreprocess);
  if (schema == nullptr) {
    if (!given || metric == kPreprocessNone || (metric == "cifar" && reader.name == "cifar_binary"))
      return nullptr;
    refuse(place,
           fmt::format("preprocess '{}': data '{}' ({}) has images of one size, which are not "
                       "prepared; leave 'preprocess' out",
                       metric, data.name, reader.name),
           metric);
  }
  const std::string name = given ? metric : text_of(data, kPreprocess, kPreprocessAuto);
  const Configuration& configuration = configuration_of(model);
  try {
    return resolve_preprocessing(name, configuration.json, configuration.file);
  } catch (const Error& error) {
    refuse(given ? place : data.place,
           fmt::format("model '{}', data '{}': {}", sweep_.models[model].name, data.name,
                       error.what()),
           name);
  }
}

// What is malformed or missing is refused where the model's files are resolved.
const DataViews::Configuration& DataViews::configuration_of(std::size_t index) {
  const auto [found, fresh] = configurations_.try_emplace(index);
  if (!fresh) return found->second;
  const spec::Model& model = sweep_.models[index];
  if (model.weights.empty()) {
    found->second.json = model.config;
    return found->second;
  }
  try {
    const FileSet files =
        checkpoint_layout(model.weights, {.network = true, .tokenizer = false}, digests_);
    const fs::path path = files.first(kConfigRole)->path;
    found->second.file = path.string();
    found->second.json =
        network_configuration(parse_json(digests_.text(path), path.string()),
                              files.first(kWeightsRole)->name, path.string());
  } catch (const Error&) {
    found->second.json = nullptr;
  }
  return found->second;
}

// The folder whose folders are the classes: the training split's, or that of the usual splits, or
// of splits with names of their own the one with the most.
fs::path DataViews::class_folder(const spec::DataSet& data) const {
  for (const char* split : {"train", "test", "val", "validation"}) {
    const auto named = data.splits.find(split);
    const fs::path folder = named != data.splits.end() && !named->second.empty()
                                ? named->second.front().path
                                : data.root / split;
    const bool is_named = named != data.splits.end() || !data.root.empty();
    if (is_named && digests_.kind(folder) == Kind::kFolder) return folder;
  }
  fs::path best;
  std::ptrdiff_t most = 0;
  for (const auto& [name, files] : data.splits) {
    if (files.empty() || digests_.kind(files.front().path) != Kind::kFolder) continue;
    const std::vector<std::string> names = digests_.folders_in(files.front().path);
    const auto count = std::count_if(
        names.begin(), names.end(), [](const std::string& each) { return !each.starts_with('.'); });
    if (!best.empty() && count <= most) continue;
    best = files.front().path;
    most = count;
  }
  return best;
}

ClassList DataViews::classes(const spec::DataSet& data, std::size_t model) {
  const Configuration& configuration = configuration_of(model);
  const fs::path folder = class_folder(data);
  if (folder.empty()) return {};  // there is none: the split that is read is refused as missing
  ClassSources sources;
  sources.data = fmt::format("data '{}', model '{}'", data.name, sweep_.models[model].name);
  for (const std::string& name : digests_.folders_in(folder)) {
    if (!name.starts_with('.')) sources.folders.push_back(name);
  }
  if (sources.folders.empty()) {
    refuse(data.place,
           fmt::format("data '{}': '{}' has no folder of a class; images lie as CLASS/NAME.png "
                       "below it",
                       data.name, folder.string()),
           folder.string());
  }
  sources.folders_from = folder.string();
  sources.list_file = text_of(data, kClasses, "");
  sources.checkpoint = class_names_in(configuration.json);
  sources.checkpoint_file = configuration.file;
  sources.order = text_of(data, kClassOrder, "auto");
  sources.outputs = outputs_in(configuration.json);
  sources.trained_elsewhere = !sweep_.models[model].weights.empty();
  return spec::at_place(data.place, [&] {
    if (!sources.list_file.empty()) {
      if (digests_.kind(sources.list_file) != Kind::kFile) {
        throw Error(ErrorKind::kConfig,
                    fmt::format("data '{}': no class list '{}'", data.name, sources.list_file));
      }
      sources.listed = class_list_from(digests_.text(sources.list_file), sources.list_file);
    }
    return resolve_classes(sources);
  });
}

}  // namespace assay::plan
