#include "harness/run/results_database.h"

#include <charconv>
#include <chrono>
#include <thread>

#include "harness/base/log.h"

namespace assay::run {
namespace {

// SQLite's primary result codes.
constexpr int kBusy = 5;
constexpr int kLocked = 6;
constexpr int kCorrupt = 11;
constexpr int kNoDatabase = 26;

// 0 for what SQLite did not say.
int sqlite_code(const Error& error) {
  for (const auto& [name, value] : error.context()) {
    int code = 0;
    if (name != "sqlite") continue;
    std::from_chars(value.data(), value.data() + value.size(), code);
    return code & 0xff;
  }
  return 0;
}

}  // namespace

bool is_damaged(const Error& error) {
  const int code = sqlite_code(error);
  return code == kCorrupt || code == kNoDatabase;
}

bool is_held_elsewhere(const Error& error) {
  const int code = sqlite_code(error);
  return code == kBusy || code == kLocked;
}

std::unique_ptr<record::RunSink> open_database(const RunFolder& folder, const RunHooks& hooks) {
  try {
    return hooks.open_sink(folder.database());
  } catch (const Error& e) {
    if (!is_damaged(e)) throw;
    const auto aside = folder.move_database_aside();
    log_warning("{}", e.what());
    log_warning("moved it to {}; a new one is made from the results in the store", aside.string());
    return hooks.open_sink(folder.database());
  }
}

void with_patience(const std::function<void()>& work, const std::function<bool()>& go_on) {
  for (bool said = false;; said = true) {
    try {
      return work();
    } catch (const Error& e) {
      if (!is_held_elsewhere(e) || !go_on()) throw;
      if (!said) log_warning("{}: waiting for it", e.what());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace assay::run
