#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

// The executor protocol: one JSON object a line, at most 1 MiB, on the descriptor that ASSAY_FD
// names (3), a stream socket. Arrays go into files, never into messages. docs/formats/protocol.md
// and protocol.schema.json document it for providers in other languages.
//
// executor -> supervisor: hello, described, prepared, inspected, alive, progress, metric,
// checkpoint, done, failed; supervisor -> executor: describe, prepare, inspect, run, stop, exit.
//
// An executor says hello first, runs one stage at a time, sends alive at least every 5 s while it
// runs one, and ends each run with exactly one done or failed. Every message about a run names its
// attempt; the supervisor drops those of another attempt. An executor that reads end of file exits.

namespace assay::protocol {

inline constexpr int kVersion = 1;
inline constexpr std::size_t kMaxLineBytes = 1024 * 1024;
inline constexpr int kDefaultDescriptor = 3;
inline constexpr std::string_view kDescriptorVariable = "ASSAY_FD";

struct Run {
  std::string attempt;
  std::string stage;
  std::string key;
  Json recipe = Json::object();
  Json locations = Json::object();
  std::map<std::string, std::string> inputs;  // name -> path of the artifact
  std::string output;  // folder to make for files; absent afterwards = none were made
  std::string resume_dir;
  std::string recipe_text;  // not empty: sent as it is in place of `recipe`
};

struct Progress {
  std::int64_t done = 0;
  std::int64_t total = 0;
  std::string unit;
};

struct Failure {
  std::string kind;  // an ErrorKind name
  std::string message;
  Json context = Json::object();
};

enum class Type {
  kHello,
  kDescribed,
  kPrepared,
  kInspected,
  kAlive,
  kProgress,
  kMetric,
  kCheckpoint,
  kDone,
  kFailed,  // up
  kDescribe,
  kPrepare,
  kInspect,
  kRun,
  kStop,
  kExit  // down
};

// A message of either direction: `type` says which of the fields count.
struct Message {
  Type type = Type::kAlive;
  std::string attempt;    // all about a run
  int version = 0;        // hello
  std::string provider;   // hello
  std::int64_t pid = 0;   // hello
  bool prepares = false;  // hello, optional: it wants `prepare` before its first run
  std::string path;    // describe: file to write the catalogue to; inspect: file of the questions;
                       // described, inspected: the file that was written
  std::string answer;  // inspect: file to write the answers to
  Progress progress;   // progress
  std::string name;    // metric
  double value = 0;    // metric; NaN for null
  std::int64_t step = 0;         // metric, checkpoint
  Json result = Json::object();  // done: metrics and facts (not longer than the line allows)
  Failure failure;               // failed
  Run run;                       // run
  double grace_s = 0;            // stop
};

// One line with its final '\n'. Throws Error(kData) if it would be longer than kMaxLineBytes.
std::string encode(Message message);

// Throws Error(kData) naming `from`, the field and what is wrong with it: malformed JSON, an
// unknown type, a missing field, a wrong type, a line that is too long. A `done` whose result holds
// NaN or an infinity, which some JSON writers let through, becomes a `failed` that names the
// member: the figure is the method's fault, and the stream is sound.
Message decode(std::string_view line, std::string_view from);

std::string_view name_of(Type type);

// Splits a byte stream into lines, bounded: throws Error(kData) once a line exceeds kMaxLineBytes.
class LineReader {
 public:
  explicit LineReader(std::string from) : from_(std::move(from)) {}
  void feed(std::string_view bytes);
  std::optional<std::string> next();

 private:
  std::string from_;
  std::string buffer_;
  std::size_t scanned_ = 0;
};

}  // namespace assay::protocol
