#include "harness/supervise/answer_cache.h"

#include <algorithm>
#include <system_error>
#include <utility>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/supervise/host.h"

namespace assay::supervise {
namespace {

constexpr int kVersion = 1;
constexpr std::size_t kMaxEntries = 20'000;
constexpr double kDaySeconds = 86'400;

std::int64_t today() { return static_cast<std::int64_t>(unix_seconds() / kDaySeconds); }

}  // namespace

AnswerCache::AnswerCache(std::filesystem::path file) : file_(std::move(file)) {
  std::error_code code;
  if (file_.empty() || !std::filesystem::exists(file_, code)) return;
  try {
    const Json json = parse_json(read_file(file_), file_.string());
    if (json.at("version") != kVersion) return;
    for (const auto& [digest, entry] : json.at("answers").items()) {
      entries_[digest] = {entry.at("facts"), entry.at("day").get<std::int64_t>()};
    }
  } catch (const std::exception&) {
    entries_.clear();
  }
}

std::optional<Answer> AnswerCache::find(const std::string& digest) {
  const auto found = entries_.find(digest);
  if (found == entries_.end()) return {};
  if (found->second.day != today()) {
    found->second.day = today();
    changed_ = true;
  }
  return Answer{.facts = found->second.facts};
}

void AnswerCache::keep(const std::string& digest, const Answer& answer) {
  if (!answer.refusals.empty() || file_.empty()) return;
  entries_[digest] = {answer.facts, today()};
  changed_ = true;
}

void AnswerCache::save() {
  if (!changed_ || file_.empty()) return;
  while (entries_.size() > kMaxEntries) {
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) {
          return a.second.day < b.second.day;
        })->second.day;
    // A whole day at once, unless all of it is of today.
    if (oldest == today()) break;
    std::erase_if(entries_, [&](const auto& entry) { return entry.second.day == oldest; });
  }
  Json answers = Json::object();
  for (const auto& [digest, entry] : entries_) {
    answers[digest] = {{"facts", entry.facts}, {"day", entry.day}};
  }
  std::error_code code;
  std::filesystem::create_directories(file_.parent_path(), code);
  try {
    write_file_atomically(file_,
                          Json{{"version", kVersion}, {"answers", std::move(answers)}}.dump());
    changed_ = false;
  } catch (const Error&) {
    // The next run asks again.
  }
}

}  // namespace assay::supervise
