#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "harness/contract/inspection.h"

namespace assay::supervise {

// Answers of one provider to `inspect`, kept between runs in a JSON file:
//
//   {"version": 1, "answers": {"<digest of the question>": {"facts": {}, "day": 20789}}}
//
// Only answers without refusals are kept: a refusal may be mended outside the files that the digest
// covers (a driver, a build), and asking again costs little where nothing runs. The digest covers
// paths and contents. Entries of the longest unused days go first once there are more than 20,000.
// A cache that cannot be read is started anew; one that cannot be written is done without.
class AnswerCache {
 public:
  // `file`: "" keeps nothing.
  explicit AnswerCache(std::filesystem::path file);

  std::optional<Answer> find(const std::string& digest);
  void keep(const std::string& digest, const Answer& answer);
  // Writes the file if something changed.
  void save();

 private:
  struct Entry {
    Json facts;
    std::int64_t day = 0;  // of its last use, since 1970
  };

  std::filesystem::path file_;
  std::map<std::string, Entry> entries_;
  bool changed_ = false;
};

}  // namespace assay::supervise
