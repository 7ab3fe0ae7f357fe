#include "harness/contract/stage_files.h"

namespace assay {
namespace {

const Json& files_in(const Json& whole, const char* member) {
  static const Json kNone = Json::array();
  const auto part = whole.is_object() ? whole.find(member) : whole.end();
  if (!whole.is_object() || part == whole.end() || !part->is_object()) return kNone;
  const auto files = part->find("files");
  return files == part->end() ? kNone : *files;
}

}  // namespace

FileSet input_files(const Json& recipe, const Json& locations, const char* member,
                    std::shared_ptr<InputWatch> watch) {
  return files_from_json(files_in(recipe, member), files_in(locations, member), std::move(watch));
}

FileSet model_files(const StageContext& context) {
  return input_files(context.recipe(), context.locations(), "model", context.watch());
}

FileSet data_files(const StageContext& context) {
  return input_files(context.recipe(), context.locations(), "data", context.watch());
}

}  // namespace assay
