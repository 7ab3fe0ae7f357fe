#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace assay::supervise {

// What an executor printed during one attempt: logs/<key>.<number>.log, made with the first byte,
// so that a silent stage costs no file. Past kMaxBytes the rest is dropped with a line that says
// so.
class AttemptLog {
 public:
  static constexpr std::int64_t kMaxBytes = std::int64_t{64} << 20;

  // `folder` "": everything is dropped.
  AttemptLog(std::filesystem::path folder, std::string attempt);
  ~AttemptLog();
  AttemptLog(const AttemptLog&) = delete;
  AttemptLog& operator=(const AttemptLog&) = delete;

  void append(std::string_view text);

  // Relative to the run folder: "logs/<attempt>.log"; "" if nothing was printed.
  std::string path() const;

 private:
  std::filesystem::path folder_;
  std::string attempt_;
  int descriptor_ = -1;
  std::int64_t bytes_ = 0;
};

}  // namespace assay::supervise
