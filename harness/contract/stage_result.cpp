#include "harness/contract/stage_result.h"

#include <cmath>

#include "harness/base/atomic_file.h"

namespace assay {

void add_note(Json& result, const std::string& note) {
  const std::string before = result.value("note", "");
  result["note"] = before.empty() ? note : before + "\n" + note;
}

void add_metric(Json& result, const std::string& name, double value) {
  if (std::isfinite(value)) {
    result["metrics"][name] = value;
    return;
  }
  add_note(result, name + " is beyond the range of a double");
}

Json fingerprint_of(const std::filesystem::path& artifact) {
  const std::filesystem::path file =
      std::filesystem::is_directory(artifact) ? artifact / "result.json" : artifact;
  const Json result = parse_json(read_file(file), file.string());
  return result.is_object() ? result.value("fingerprint", Json::object()) : Json::object();
}

}  // namespace assay
