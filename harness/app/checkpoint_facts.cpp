#include "harness/app/checkpoint_facts.h"

#include <fmt/format.h>

#include <map>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/formats/safetensors_file.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;
using results::count_cell;
using results::Table;
using results::text_cell;

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

Table configuration(const fs::path& file, const std::string& weights) {
  Table table{.title = file.string(), .columns = {{"name"}, {"value"}}};
  const Json json = network_configuration(
      parse_json(read_file(file, kMaxConfigBytes), file.string()), weights, file.string());
  if (!json.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{}: not a JSON object", file.string()));
  }
  constexpr std::size_t kMaxText = 80;
  for (const auto& [name, value] : json.items()) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (text.size() > kMaxText) {
      text.resize(kMaxText);
      text += "...";
    }
    table.rows.push_back({text_cell(name), {std::move(text), value}});
  }
  return table;
}

}  // namespace

std::vector<Table> checkpoint_facts(const fs::path& path) {
  const FileSet files = checkpoint_on_disk(path);
  std::vector<Table> tables;
  tables.push_back(
      configuration(files.first(kConfigRole)->path, files.first(kWeightsRole)->name));
  Table tensors{.title = "Tensors", .columns = {{"name"}, {"dtype"}, {"shape"}}};
  std::map<std::string, std::int64_t> of_dtype;
  std::int64_t parameters = 0;
  const std::vector<const InputFile*> shards = files.of_role(kWeightsRole);
  for (const InputFile* file : shards) {
    const SafetensorsFile weights(file->path);
    for (const auto& [name, entry] : weights.tensors()) {
      tensors.rows.push_back({text_cell(name), text_cell(entry.dtype),
                              text_cell(fmt::format("[{}]", fmt::join(entry.shape, ", ")))});
      of_dtype[entry.dtype] += entry.count();
      parameters += entry.count();
    }
  }
  Table summary{.title = path.string(), .columns = {{"dtype"}, {"values", true}}};
  for (const auto& [dtype, count] : of_dtype) {
    summary.rows.push_back({text_cell(dtype), count_cell(count)});
  }
  summary.notes.push_back(fmt::format("{} values in {} tensors of {} files", parameters,
                                      tensors.rows.size(), shards.size()));
  tables.push_back(std::move(tensors));
  tables.push_back(std::move(summary));
  return tables;
}

}  // namespace assay::app
