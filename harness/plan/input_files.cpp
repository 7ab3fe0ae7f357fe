#include "harness/plan/input_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "harness/base/digest.h"
#include "harness/base/suggest.h"

namespace assay::plan {
namespace {

namespace fs = std::filesystem;
using Kind = InputDigests::Kind;
using spec::refuse;

// A model without a tokenizer whose ids are byte values.
bool takes_bytes(const Json& configuration) {
  return configuration.is_object() && configuration.value("vocab_size", Json()) == 256;
}

}  // namespace

RecipePart part_of(Json value, Json location) {
  if (value.is_null()) return {};
  std::string text = canonical_json(value);
  std::string id = sha256(text).substr(0, 16);
  return {std::move(value), std::move(text), std::move(location), std::move(id)};
}

FileSet checkpoint_files(const spec::Model& model, CheckpointParts parts, InputDigests& digests) {
  if (digests.kind(model.weights) == Kind::kMissing) {
    refuse(model.place,
           fmt::format("weights of model '{}': no file or folder '{}'", model.name,
                       model.weights.string()),
           model.weights.string());
  }
  try {
    return checkpoint_layout(model.weights, parts, digests);
  } catch (const Error& e) {
    refuse(model.place, fmt::format("model '{}': {}", model.name, e.what()),
           model.weights.string());
  }
}

const RecipePart& InputFiles::model(std::size_t index, bool weights, bool tokenizer) {
  const auto key = std::make_pair(index, (weights ? 1 : 0) + (tokenizer ? 2 : 0));
  const auto found = models_.find(key);
  if (found != models_.end()) return found->second;
  return models_.emplace(key, make_model(sweep_.models[index], weights, tokenizer)).first->second;
}

const RecipePart& InputFiles::data(int view, const std::string& split) {
  const auto key = std::make_pair(view, split);
  const auto found = data_.find(key);
  if (found != data_.end()) return found->second;
  return data_.emplace(key, make_data(views_[view], split)).first->second;
}

RecipePart InputFiles::make_model(const spec::Model& model, bool weights, bool tokenizer) {
  tokenizer = tokenizer && model.task != "classification";
  Json value{{"family", model.family}};
  if (model.weights.empty()) {
    if (tokenizer && !takes_bytes(model.config)) {
      refuse(model.place, fmt::format("model '{}' has no weights and so no tokenizer, but its "
                                      "trials read one; name a checkpoint folder as 'weights'",
                                      model.name));
    }
    value["config"] = model.config;
    return part_of(std::move(value), nullptr);
  }
  FileSet files = checkpoint_files(model, {.network = weights, .tokenizer = tokenizer}, digests_);
  if (weights) check_family(model, files);
  files = digested(files);
  value["files"] = recipe_json(files);
  return part_of(std::move(value),
                 {{"path", model.weights.string()}, {"files", locations_json(files)}});
}

InputFile InputFiles::digested(const File& file) {
  InputFile made{.role = file.role, .name = file.name, .path = file.path};
  if (digests_.kind(file.path) == Kind::kFolder) {
    return folder_of_files(file, digests_.manifest(file.path));
  }
  InputDigests::Known known = digests_.known(file.path);
  made.digest = std::move(known.digest);
  made.identity = known.identity;
  return made;
}

// A folder that cannot be an input is a mistake of the entry that names it.
Manifest InputFiles::manifest_of(const File& folder, const spec::DataSet& data) {
  try {
    return digests_.manifest(folder.path);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kData) throw;
    refuse(data.place, fmt::format("data '{}': {}", data.name, error.what()), folder.path.string());
  }
}

InputFile InputFiles::folder_of_files(const File& folder, const Manifest& manifest) {
  InputFile made{.role = folder.role, .name = folder.name, .path = folder.path};
  std::string text = text_of(manifest);
  made.digest = content_digest(manifest);
  made.manifest = sha256(text);
  manifests_.emplace(made.manifest.string(), std::move(text));
  return made;
}

FileSet InputFiles::digested(const FileSet& files) {
  std::vector<InputFile> made;
  for (const InputFile& file : files) made.push_back(digested(File{file.role, file.name, file.path}));
  return FileSet(std::move(made));
}

// Refuses a checkpoint that says it is of another family than the sweep does. What it says in names
// that no family claims, or not as JSON, is for the network to judge when it is loaded.
void InputFiles::check_family(const spec::Model& model, const FileSet& files) {
  const fs::path configuration = files.first(kConfigRole)->path;
  Json json;
  try {
    json = network_configuration(parse_json(digests_.text(configuration), configuration.string()),
                                 files.first(kWeightsRole)->name, configuration.string());
  } catch (const Error&) {
    return;
  }
  if (!json.is_object()) return;
  const auto claims = [](const FamilyDeclaration& family, const std::string& type) {
    return std::find(family.model_types.begin(), family.model_types.end(), type) !=
           family.model_types.end();
  };
  const FamilyDeclaration* named = catalogue_.find_family(model.family);
  for (const char* field : {"model_type", "architecture"}) {
    const auto found = json.find(field);
    if (found == json.end() || !found->is_string()) continue;
    const std::string type = found->get<std::string>();
    if (named != nullptr && claims(*named, type)) return;
    for (const FamilyDeclaration& other : catalogue_.families) {
      if (!claims(other, type)) continue;
      refuse(model.place,
             fmt::format("model '{}' is of family '{}' here, but '{}' says {} '{}', which is of "
                         "family '{}'; write 'family: {}'",
                         model.name, model.family, configuration.string(), field, type, other.name,
                         other.name),
             type);
    }
  }
}

RecipePart InputFiles::make_data(const DataView& view, const std::string& split) {
  const spec::DataSet& data = sweep_.data[view.data];
  const ReaderDeclaration& reader = *catalogue_.find_reader(data.reader);
  const std::vector<File> named = files_of(data, reader, split);
  if (reader.folder && named.size() > 1) {
    refuse(data.place,
           fmt::format("data '{}', split '{}': {} folders; expected one, with a folder a class",
                       data.name, split, named.size()),
           split);
  }
  std::vector<InputFile> made;
  std::string passed;
  for (const File& file : named) {
    if (view.classes.names.empty()) {
      made.push_back(digests_.kind(file.path) == Kind::kFolder
                         ? folder_of_files(file, manifest_of(file, data))
                         : digested(file));
      continue;
    }
    const Manifest manifest = manifest_of(file, data);
    passed = passed_over(check_images(view, split, file.path, manifest));
    made.push_back(folder_of_files(file, manifest));
  }
  const FileSet files(std::move(made));
  Json value{{"reader", reader.name},
             {"parameters", data_parameters(data, reader, split)},
             {"split", split},
             {"files", recipe_json(files)}};
  Json location{{"files", locations_json(files)}};
  if (!view.preprocess.is_null()) value["preprocess"] = view.preprocess;
  if (!view.classes.names.empty()) {
    value["classes"] = class_list_identity(view.classes.names);
    location["classes"] = view.classes.names;
  }
  RecipePart part = part_of(std::move(value), std::move(location));
  part.passed_over = std::move(passed);
  return part;
}

// Of the parameters, those that the reader reads: not what a view was made of. One that is named
// like a split belongs to that split only.
Json InputFiles::data_parameters(const spec::DataSet& data, const ReaderDeclaration& reader,
                                 const std::string& split) const {
  std::set<std::string> splits{"train", "test", split};
  for (const auto& [name, files] : reader.files) splits.insert(name);
  for (const auto& [name, files] : data.splits) splits.insert(name);
  Json parameters = Json::object();
  for (const auto& item : data.parameters.items()) {
    const bool of_view = DataViews::resolves(reader, item.key());
    const bool of_split = item.key() == split || !splits.contains(item.key());
    if (!of_view && of_split) parameters[item.key()] = item.value();
  }
  return parameters;
}

// Refuses a split whose classes the list does not name, or whose images would be lost; says what
// was found.
ImageListing InputFiles::check_images(const DataView& view, const std::string& split,
                                      const fs::path& folder, const Manifest& manifest) {
  const spec::DataSet& data = sweep_.data[view.data];
  ImageListing listing = list_images(manifest);
  const std::vector<std::int64_t> numbers = spec::at_place(data.place, [&] {
    check_listing(listing, folder.string());
    return class_numbers(listing.folders, view.classes.names,
                         fmt::format("data '{}', '{}'", data.name, folder.string()));
  });
  std::vector<bool> has_image(view.classes.names.size(), false);
  for (const ListedImage& image : listing.images) {
    has_image[static_cast<std::size_t>(numbers[image.folder])] = true;
  }
  const auto present = std::count(has_image.begin(), has_image.end(), true);
  std::string note = fmt::format("data '{}', split '{}': {} images of {} classes, numbered by {}",
                                 data.name, split, listing.images.size(), present,
                                 view.classes.source);
  if (const auto absent = std::find(has_image.begin(), has_image.end(), false);
      absent != has_image.end()) {
    note += fmt::format("; {} of the list's {} have no image here ('{}'{})",
                        has_image.size() - static_cast<std::size_t>(present), has_image.size(),
                        view.classes.names[static_cast<std::size_t>(absent - has_image.begin())],
                        has_image.size() - static_cast<std::size_t>(present) > 1 ? ", ..." : "");
  }
  if (const std::string passed = passed_over(listing); !passed.empty()) {
    note += "; passed over: " + passed;
  }
  if (std::find(notes_.begin(), notes_.end(), note) == notes_.end()) notes_.push_back(note);
  return listing;
}

std::vector<InputFiles::File> InputFiles::files_of(const spec::DataSet& data,
                                                   const ReaderDeclaration& reader,
                                                   const std::string& split) {
  if (reader.files.empty()) return named_files(data, reader, split);
  const auto declared = reader.files.find(split);
  if (declared == reader.files.end()) {
    std::vector<std::string> legal;
    for (const auto& [name, unused] : reader.files) legal.push_back(name);
    refuse(data.place,
           fmt::format("data '{}' has no split '{}'{}", data.name, split, suggestion(split, legal)),
           split);
  }
  const fs::path root = root_of(data, reader, declared->second);
  std::vector<File> files;
  for (const ReaderFile& file : declared->second) {
    files.push_back({file.role, file.path, root / file.path});
    if (digests_.kind(files.back().path) == Kind::kMissing) {
      refuse(data.place,
             fmt::format("data '{}', split '{}': no file '{}' ({})", data.name, split,
                         files.back().path.string(), reader.title),
             files.back().path.string());
    }
  }
  return files;
}

std::vector<InputFiles::File> InputFiles::named_files(const spec::DataSet& data,
                                                      const ReaderDeclaration& reader,
                                                      const std::string& split) {
  const auto named = data.splits.find(split);
  if (named == data.splits.end()) {
    if (reader.folder && !data.root.empty()) return {{"", split, folder_of(data, split)}};
    std::vector<std::string> legal;
    for (const auto& [name, unused] : data.splits) legal.push_back(name);
    refuse(data.place,
           fmt::format("data '{}' has no split '{}'{}; name its files: '{}: ...'", data.name, split,
                       suggestion(split, legal), split),
           split);
  }
  std::vector<File> files;
  for (const spec::DataFile& file : named->second) {
    const Kind kind = digests_.kind(file.path);
    if (kind == Kind::kMissing || (kind == Kind::kFolder) != reader.folder) {
      refuse(data.place,
             fmt::format("data '{}', split '{}': '{}' {}", data.name, split, file.path.string(),
                         kind == Kind::kMissing ? "is not there"
                         : reader.folder        ? "is a file; expected a folder"
                                                : "is a folder; expected a file"),
             file.path.string());
    }
    files.push_back({file.role, file.path.filename().string(), file.path});
  }
  return files;
}

// The folder of a split below the root of an image folder; ImageNet's test split is val/.
fs::path InputFiles::folder_of(const spec::DataSet& data, const std::string& split) {
  std::vector<std::string> names{split};
  if (split == "test") names.insert(names.end(), {"val", "validation"});
  for (const std::string& name : names) {
    if (digests_.kind(data.root / name) == Kind::kFolder) return data.root / name;
  }
  refuse(data.place,
         fmt::format("data '{}', split '{}': no folder {} in '{}'; below 'root' lies a folder a "
                     "split, in it a folder a class: ROOT/{}/CLASS/NAME.png",
                     data.name, split, fmt::join(names, " or "), data.root.string(), split),
         data.root.string());
}

fs::path InputFiles::root_of(const spec::DataSet& data, const ReaderDeclaration& reader,
                             const std::vector<ReaderFile>& files) {
  if (!data.root.empty()) {
    if (digests_.kind(data.root) == Kind::kFolder) return data.root;
    refuse(data.place,
           fmt::format("data '{}': root '{}' is not a folder", data.name, data.root.string()),
           data.root.string());
  }
  std::vector<std::string> looked;
  for (const std::string& each : reader.roots) {
    const std::string root = expanded(each);
    if (root.empty()) continue;
    if (!files.empty() && digests_.kind(fs::path(root) / files[0].path) != Kind::kMissing) {
      return root;
    }
    looked.push_back(root);
  }
  refuse(data.place,
         fmt::format("data '{}' was not found ({}); looked in {}; install it or name its folder: "
                     "'root: /path'",
                     data.name, reader.title, fmt::join(looked, ", ")),
         data.name);
}

// "$NAME/rest" with the variable's value; "" if it is not set.
std::string InputFiles::expanded(const std::string& root) {
  if (!root.starts_with('$')) return root;
  const std::size_t slash = std::min(root.find('/'), root.size());
  const auto value = digests_.environment(root.substr(1, slash - 1));
  if (!value || value->empty()) return "";
  return *value + root.substr(slash);
}

}  // namespace assay::plan
