#include "harness/run/run_folder.h"

#include <fmt/format.h>

#include <random>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/utf8.h"
#include "harness/supervise/host.h"

namespace assay::run {
namespace {

// Not a result: only has to differ from the ids of other runs in one store.
std::string fresh_id(const std::string& sweep) {
  std::random_device device;
  return fmt::format("{}-{:08x}{:08x}", sweep, device(), device());
}

constexpr std::size_t kMaxRunBytes = 65536;
constexpr const char* kMend =
    "move the run folder away, or name another with --out (results come back from the store)";

Json run_json(const std::filesystem::path& file) {
  try {
    return parse_json(read_file(file, kMaxRunBytes), file.string());
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}; {}", e.what(), kMend), e.context());
  }
}

std::string text_member(const Json& json, const char* name, const std::filesystem::path& file) {
  if (json.is_object() && json.contains(name) && json[name].is_string() && json[name] != "")
    return json[name].get<std::string>();
  throw Error(ErrorKind::kData,
              fmt::format("{}: no text '{}' in it; {}", file.string(), name, kMend),
              {{"file", file.string()}});
}

// `folder`: where the run lies, by which a copy of its folder knows that it is one.
void write_run(const std::filesystem::path& file, const std::string& id, const std::string& sweep,
               const std::filesystem::path& folder) {
  const Json json = {{"id", id},
                     {"sweep", sweep},
                     {"created_unix_s", supervise::unix_seconds()},
                     {"folder", folder.string()}};
  write_file_atomically(file, json.dump(2) + "\n", Durability::kSynced);
}

// Whether the folder that run.json was made in still holds this run: then this one is another, and
// two runs of one id would take each other's checkpoints and roots. A folder that was moved keeps
// its id.
bool is_copy(const Json& json, const std::filesystem::path& folder) {
  const Json made_in = json.value("folder", Json());
  if (!made_in.is_string() || made_in == folder.string()) return false;
  const std::filesystem::path original = made_in.get<std::string>();
  std::error_code code;
  if (std::filesystem::equivalent(original, folder, code)) return false;
  try {
    return run_json(original / "run.json").value("id", Json()) == json.at("id");
  } catch (const Error&) {
    return false;
  }
}

// Files that write_file_atomically() had not renamed yet when its process was killed.
void remove_leftovers(const std::filesystem::path& folder) {
  std::error_code code;
  for (const auto& entry : std::filesystem::directory_iterator(folder, code)) {
    const std::string name = entry.path().filename().string();
    for (const char* prefix : {".status.json.", ".run.json.", ".sweep.yaml.", ".run.cancel.",
                               ".results.sqlite.xxh128."}) {
      std::error_code ignored;
      if (name.starts_with(prefix)) std::filesystem::remove(entry.path(), ignored);
    }
  }
}

}  // namespace

RunFolder::RunFolder(const std::filesystem::path& path, const std::string& sweep) : path_(path) {
  if (utf8_text(path.string()) != path.string()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("the name of the run folder '{}' is not UTF-8; name another with --out",
                            utf8_text(path.string())));
  }
  std::error_code code;
  std::filesystem::create_directories(logs(), code);
  if (code) {
    throw Error(ErrorKind::kIo,
                fmt::format("run folder: cannot make {}: {}", logs().string(), code.message()),
                {{"file", logs().string()}});
  }
  path_ = std::filesystem::canonical(path);
  lock_.emplace(path_);
  remove_leftovers(path_);
  const auto file = path_ / "run.json";
  if (std::filesystem::exists(file)) {
    const Json json = run_json(file);
    id_ = text_member(json, "id", file);
    const std::string other = text_member(json, "sweep", file);
    if (other != sweep) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("{} holds the run of sweep '{}', not of '{}'; name another folder "
                              "with --out",
                              path_.string(), other, sweep));
    }
    // A folder that was moved says where it lies now: a copy of it must know that it is one.
    const bool stays = json.value("folder", Json()) == path_.string();
    if (is_copy(json, path_)) id_ = fresh_id(sweep);
    if (!stays) write_run(file, id_, sweep, path_);
    return;
  }
  id_ = fresh_id(sweep);
  write_run(file, id_, sweep, path_);
}

std::filesystem::path RunFolder::move_database_aside() const {
  std::filesystem::path aside;
  for (int i = 1; aside.empty() || std::filesystem::exists(aside); ++i) {
    aside = path_ / fmt::format("results.damaged-{}.sqlite", i);
  }
  for (const char* suffix : {"", "-wal", "-shm", "-journal", ".xxh128"}) {
    const std::filesystem::path from = database().string() + suffix;
    if (std::filesystem::exists(from)) std::filesystem::rename(from, aside.string() + suffix);
  }
  return aside;
}

}  // namespace assay::run
