#include "harness/app/checkpoint_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "harness/core/json.h"
#include "harness/core/safetensors_file.h"

namespace assay::app {
namespace {

namespace fs = std::filesystem;
using results::count_cell;
using results::Table;
using results::text_cell;

constexpr std::size_t kMaxConfigBytes = std::size_t{16} << 20;

std::vector<fs::path> weight_files(const fs::path& path) {
  std::error_code error;
  if (fs::is_regular_file(path, error)) return {path};
  std::vector<fs::path> files;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".safetensors") files.push_back(it->path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("{}: no checkpoint (a folder with *.safetensors, or such a file); "
                            "other formats must be converted first",
                            path.string()),
                {{"file", path.string()}});
  }
  return files;
}

Table configuration(const fs::path& file) {
  Table table{.title = file.string(), .columns = {{"name"}, {"value"}}};
  const Json json = parse_json(read_file(file, kMaxConfigBytes), file.string());
  if (!json.is_object()) {
    throw Error(ErrorKind::kData, fmt::format("{}: not a JSON object", file.string()));
  }
  constexpr std::size_t kMaxText = 80;
  for (const auto& [name, value] : json.items()) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (text.size() > kMaxText) text = text.substr(0, kMaxText) + "...";
    table.rows.push_back({text_cell(name), {std::move(text), value}});
  }
  return table;
}

}  // namespace

std::vector<Table> checkpoint_facts(const fs::path& path) {
  const std::vector<fs::path> files = weight_files(path);
  std::vector<Table> tables;
  const fs::path config = (fs::is_directory(path) ? path : path.parent_path()) / "config.json";
  if (fs::exists(config)) tables.push_back(configuration(config));
  Table tensors{.title = "Tensors", .columns = {{"name"}, {"dtype"}, {"shape"}}};
  std::map<std::string, std::int64_t> of_dtype;
  std::int64_t parameters = 0;
  for (const fs::path& file : files) {
    const SafetensorsFile weights(file);
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
                                      tensors.rows.size(), files.size()));
  if (!fs::exists(config)) summary.notes.push_back("no config.json beside the weights");
  tables.push_back(std::move(tensors));
  tables.push_back(std::move(summary));
  return tables;
}

}  // namespace assay::app
