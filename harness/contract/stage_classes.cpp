#include "harness/contract/stage_classes.h"

#include "harness/base/error.h"
#include "harness/formats/class_list.h"

namespace assay {
namespace {

const Json& classes_in(const Json& whole) {
  static const Json kNone;
  const auto data = whole.is_object() ? whole.find("data") : whole.end();
  if (!whole.is_object() || data == whole.end() || !data->is_object()) return kNone;
  const auto classes = data->find("classes");
  return classes == data->end() ? kNone : *classes;
}

}  // namespace

std::vector<std::string> class_names_of(const StageContext& context) {
  const Json& identity = classes_in(context.recipe());
  if (identity.is_null()) return {};
  std::vector<std::string> names;
  const Json& given = classes_in(context.locations());
  for (const Json& name : given.is_array() ? given : Json::array()) {
    if (name.is_string()) names.push_back(name.get<std::string>());
  }
  if (class_list_identity(names) != identity) {
    throw Error(ErrorKind::kConfig, "the locations' class list is not the one of the recipe");
  }
  return names;
}

}  // namespace assay
