#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <system_error>

#include "harness/base/suggest.h"
#include "harness/spec/document.h"
#include "harness/spec/load.h"

namespace assay::spec {
namespace {

template <typename Record>
std::vector<std::string> names(const std::vector<Record>& records) {
  std::vector<std::string> list;
  for (const Record& record : records) list.push_back(record.name);
  return list;
}

// The record that `node` names.
template <typename Record>
const Record& named(const std::vector<Record>& records, const Node& node, std::string_view what) {
  const std::string& name = text_of(node, what);
  for (const Record& record : records) {
    if (record.name == name) return record;
  }
  refuse(node.place, fmt::format("unknown {} '{}'{}", what, name, suggestion(name, names(records))),
         name);
}

Json configuration_from(Node& node, const FamilyDeclaration& family, const std::string& owner) {
  Fields fields(node, owner);
  Json given = Json::object();
  for (const ParameterSchema& schema : family.configuration) {
    if (Node* value = fields.take(schema.name))
      given[schema.name] = parameter_value(schema, *value);
  }
  fields.finish();
  return resolved_parameters(family.configuration, given, owner, node.place);
}

Model model_from(Member& member, const Catalogue& catalogue, const Sweep& sweep) {
  check_name(member.key, member.place, "model");
  Model model;
  model.name = member.key;
  model.place = member.place;
  Fields fields(member.value, fmt::format("model '{}'", member.key));
  const FamilyDeclaration& family =
      named(catalogue.families, fields.require("family"), "model family");
  model.family = family.name;
  model.task = family.task;
  Node* weights = fields.take("weights");
  Node* config = fields.take("config");
  if (Node* data = fields.take("data")) {
    const DataSet& set = named(sweep.data, *data, "data set");
    model.data = set.name;
    if (!set.task.empty() && !family.task.empty() && set.task != family.task) {
      refuse(data->place,
             fmt::format("data '{}' is for {}, model '{}' is for {}", set.name, set.task,
                         model.name, family.task),
             set.name);
    }
  }
  fields.finish();
  if ((weights != nullptr) == (config != nullptr)) {
    refuse(member.place,
           fmt::format("model '{}' needs either 'weights' (a checkpoint) or 'config' (a network "
                       "without weights){}",
                       model.name, weights != nullptr ? ", not both" : ""));
  }
  if (weights != nullptr) model.weights = resolve_path(*weights, "weights");
  if (config != nullptr) {
    model.config =
        configuration_from(*config, family, fmt::format("config of model '{}'", model.name));
  }
  return model;
}

// Files of a split: a path, a list of paths, or role -> path(s).
std::vector<DataFile> split_from(Node& node, const ReaderDeclaration& reader,
                                 const std::string& what) {
  std::vector<DataFile> files;
  if (!node.is_map()) {
    if (!reader.roles.empty()) {
      refuse(node.place, fmt::format("{} must name files by role: {{{}: path}}", what,
                                     fmt::join(reader.roles, ": path, ")));
    }
    for (Node* item : list_of(node, what)) files.push_back({"", resolve_path(*item, what)});
    return files;
  }
  if (reader.roles.empty()) {
    refuse(node.place, fmt::format("{} must be a path or a list of paths, not a map", what));
  }
  Fields fields(node, what);
  for (const std::string& role : reader.roles) {
    for (Node* item : list_of(fields.require(role), role)) {
      files.push_back({role, resolve_path(*item, role)});
    }
  }
  fields.finish();
  return files;
}

// Names that a split may have without being declared.
const std::vector<std::string>& usual_splits() {
  static const std::vector<std::string> kNames{"train", "test", "validation", "val"};
  return kNames;
}

// Usual splits, and those that `splits:` declares.
std::vector<std::string> split_names(Fields& fields) {
  std::vector<std::string> names = usual_splits();
  if (Node* declared = fields.take("splits")) {
    for (Node* item : list_of(*declared, "splits")) {
      names.push_back(text_of(*item, "the name of a split"));
      check_name(names.back(), item->place, "split");
    }
  }
  return names;
}

// A key that is neither a parameter nor a split must not be taken for a split: a misspelt parameter
// would leave its default in force without a word.
[[noreturn]] void refuse_key_of_data(const Member& member, const std::string& owner,
                                     const ReaderDeclaration& reader,
                                     const std::vector<std::string>& splits) {
  std::vector<std::string> legal = splits;
  legal.insert(legal.end(), {"reader", "root", "splits"});
  for (const ParameterSchema& schema : reader.parameters) legal.push_back(schema.name);
  std::sort(legal.begin(), legal.end());
  refuse(member.place,
         fmt::format("unknown key '{}' in {}{} (splits are {}; others are declared: "
                     "'splits: [{}]')",
                     member.key, owner, suggestion(member.key, legal),
                     fmt::join(usual_splits(), ", "), member.key),
         member.key);
}

DataSet data_set_from(Member& member, const Catalogue& catalogue) {
  check_name(member.key, member.place, "data set");
  DataSet data;
  data.name = member.key;
  data.place = member.place;
  const std::string owner = fmt::format("data '{}'", member.key);
  Fields fields(member.value, owner);
  const ReaderDeclaration& reader = named(catalogue.readers, fields.require("reader"), "reader");
  data.reader = reader.name;
  data.task = reader.task;
  const bool names_files = reader.files.empty();
  if (Node* root = fields.take("root")) {
    if (reader.roots.empty() && reader.files.empty() && !reader.folder) {
      refuse(root->place,
             fmt::format("reader '{}' has no root; name the files of each split", reader.name));
    }
    data.root = resolve_path(*root, "root");
  }
  Json given = Json::object();
  for (const ParameterSchema& schema : reader.parameters) {
    if (Node* value = fields.take(schema.name))
      given[schema.name] = parameter_value(schema, *value);
  }
  const std::vector<std::string> legal = names_files ? split_names(fields) : usual_splits();
  if (names_files) fields.allow(legal);
  for (Member* split : fields.rest()) {
    if (!names_files && reader.files.contains(split->key)) {
      refuse(split->place,
             fmt::format("reader '{}' knows the files of split '{}'; 'root' names "
                         "another folder for them",
                         reader.name, split->key),
             split->key);
    }
    if (!names_files) fields.refuse_key(*split);
    if (std::find(legal.begin(), legal.end(), split->key) == legal.end()) {
      refuse_key_of_data(*split, owner, reader, legal);
    }
    data.splits[split->key] =
        split_from(split->value, reader, fmt::format("split '{}' of {}", split->key, owner));
  }
  data.parameters = resolved_parameters(reader.parameters, given, owner, member.place);
  return data;
}

}  // namespace

void load_data(Node& node, const Catalogue& catalogue, Sweep& sweep) {
  Fields fields(node, "data");
  for (Member* member : fields.rest()) sweep.data.push_back(data_set_from(*member, catalogue));
}

void load_models(Node& node, const Catalogue& catalogue, Sweep& sweep) {
  Fields fields(node, "models");
  for (Member* member : fields.rest()) {
    sweep.models.push_back(model_from(*member, catalogue, sweep));
  }
}

std::vector<Provider> providers_from(Node& node) {
  std::vector<Provider> providers;
  if (!node.is_list()) {
    refuse(node.place, fmt::format("providers must be a list of {{command: [program, argument]}}, "
                                   "not {}",
                                   node.shown()));
  }
  for (Node& item : node.items) {
    Provider provider;
    provider.place = item.place;
    Fields fields(item, "provider");
    for (Node* word : list_of(fields.require("command"), "command")) {
      const std::string text = text_of(*word, "a word of the command");
      Node file = *word;
      std::error_code error;
      if (std::filesystem::is_regular_file(resolve_path(file, "command"), error)) *word = file;
      provider.command.push_back(word->text);
    }
    fields.finish();
    providers.push_back(std::move(provider));
  }
  return providers;
}

}  // namespace assay::spec
