#include "harness/contract/protocol.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <utility>

#include "harness/base/error.h"
#include "harness/base/json_members.h"
#include "harness/base/nonfinite_json.h"
#include "harness/base/suggest.h"

namespace assay::protocol {
namespace {

constexpr std::array<std::pair<Type, std::string_view>, 16> kNames{
    {{Type::kHello, "hello"},
     {Type::kDescribed, "described"},
     {Type::kPrepared, "prepared"},
     {Type::kInspected, "inspected"},
     {Type::kAlive, "alive"},
     {Type::kProgress, "progress"},
     {Type::kMetric, "metric"},
     {Type::kCheckpoint, "checkpoint"},
     {Type::kDone, "done"},
     {Type::kFailed, "failed"},
     {Type::kDescribe, "describe"},
     {Type::kPrepare, "prepare"},
     {Type::kInspect, "inspect"},
     {Type::kRun, "run"},
     {Type::kStop, "stop"},
     {Type::kExit, "exit"}}};

constexpr int kMaxDepth = 32;

[[noreturn]] void refuse(std::string_view from, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", from, problem),
              {{"from", std::string(from)}});
}

Type type_from(const std::string& name, std::string_view from) {
  std::vector<std::string> legal;
  for (const auto& [type, each] : kNames) {
    if (each == name) return type;
    legal.emplace_back(each);
  }
  refuse(from,
         fmt::format("unknown message type '{}'{}", name.substr(0, 100), suggestion(name, legal)));
}

}  // namespace

std::string_view name_of(Type type) {
  for (const auto& [each, name] : kNames) {
    if (each == type) return name;
  }
  return "unknown";
}

std::string encode(Message m) {
  Json j = {{"type", name_of(m.type)}};
  if (!m.attempt.empty()) j["attempt"] = m.attempt;
  switch (m.type) {
    case Type::kHello:
      j["protocol"] = m.version, j["provider"] = m.provider, j["pid"] = m.pid;
      if (m.prepares) j["prepares"] = true;
      break;
    case Type::kDescribe:
    case Type::kDescribed:
    case Type::kInspected:
      j["path"] = m.path;
      break;
    case Type::kInspect:
      j["path"] = m.path, j["answer"] = m.answer;
      break;
    case Type::kProgress:
      j["done"] = m.progress.done, j["total"] = m.progress.total, j["unit"] = m.progress.unit;
      break;
    case Type::kMetric:
      j["name"] = m.name, j["value"] = m.value, j["step"] = m.step;
      break;
    case Type::kCheckpoint:
      j["step"] = m.step;
      break;
    case Type::kDone:
      j["result"] = std::move(m.result);
      break;
    case Type::kFailed:
      j["kind"] = m.failure.kind, j["message"] = m.failure.message,
      j["context"] = m.failure.context;
      break;
    case Type::kRun:
      j["attempt"] = m.run.attempt, j["stage"] = m.run.stage, j["key"] = m.run.key,
      j["locations"] = std::move(m.run.locations), j["inputs"] = m.run.inputs,
      j["output"] = m.run.output, j["resume_dir"] = m.run.resume_dir;
      if (m.run.recipe_text.empty()) j["recipe"] = std::move(m.run.recipe);
      break;
    case Type::kStop:
      j["grace_s"] = m.grace_s;
      break;
    case Type::kAlive:
    case Type::kPrepare:
    case Type::kPrepared:
    case Type::kExit:
      break;
  }
  std::string line = j.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (m.type == Type::kRun && !m.run.recipe_text.empty()) {
    line.pop_back();
    line.append(",\"recipe\":").append(m.run.recipe_text) += '}';
  }
  line += '\n';
  if (line.size() > kMaxLineBytes) {
    throw Error(
        ErrorKind::kData,
        fmt::format("a '{}' message of {} bytes is over the limit of {}; put arrays into files",
                    name_of(m.type), line.size(), kMaxLineBytes));
  }
  return line;
}

namespace {

Run decode_run(const Json& json, std::string_view from) {
  Run run;
  run.attempt = text_member(json, "attempt", from);
  run.stage = text_member(json, "stage", from);
  run.key = text_member(json, "key", from);
  run.recipe = object_member(json, "recipe", from);
  run.locations = object_member_or_empty(json, "locations", from);
  run.inputs = texts_member(json, "inputs", from);
  run.output = text_member(json, "output", from);
  run.resume_dir = text_member(json, "resume_dir", from);
  return run;
}

// The members of a message about an attempt.
void decode_attempt(const Json& json, std::string_view from, Message& m) {
  m.attempt = text_member(json, "attempt", from);
  switch (m.type) {
    case Type::kProgress:
      m.progress = {integer_member(json, "done", from), integer_member(json, "total", from),
                    text_member(json, "unit", from)};
      break;
    case Type::kMetric:
      m.name = text_member(json, "name", from);
      m.value = member(json, "value").is_null() && json.contains("value")
                    ? std::numeric_limits<double>::quiet_NaN()
                    : number_member(json, "value", from);
      m.step = integer_member(json, "step", from);
      break;
    case Type::kCheckpoint:
      m.step = integer_member(json, "step", from);
      break;
    case Type::kDone:
      m.result = object_member_or_empty(json, "result", from);
      break;
    case Type::kFailed:
      m.failure = {text_member(json, "kind", from), text_member(json, "message", from),
                   object_member_or_empty(json, "context", from)};
      if (!error_kind_from(m.failure.kind))
        refuse(from, fmt::format("unknown failure kind '{}'; legal: config, method, data, io, oom, "
                                 "crash, lost, timeout, unsupported, environment",
                                 m.failure.kind.substr(0, 100)));
      break;
    case Type::kStop:
      m.grace_s = number_member(json, "grace_s", from);
      break;
    default:
      break;
  }
}

Message decode(const Json& json, std::string_view from) {
  if (!json.is_object())
    refuse(from, "a message must be a JSON object, not " + json.dump().substr(0, 100));
  Message m;
  m.type = type_from(text_member(json, "type", from), from);
  switch (m.type) {
    case Type::kHello:
      m.version = static_cast<int>(
          std::clamp<std::int64_t>(integer_member(json, "protocol", from), -1, 1'000'000));
      m.provider = text_member(json, "provider", from);
      m.pid = integer_member(json, "pid", from);
      m.prepares = flag_member_or(json, "prepares", false, from);
      return m;
    case Type::kDescribe:
    case Type::kDescribed:
    case Type::kInspected:
      m.path = text_member(json, "path", from);
      return m;
    case Type::kInspect:
      m.path = text_member(json, "path", from);
      m.answer = text_member(json, "answer", from);
      return m;
    case Type::kPrepare:
    case Type::kPrepared:
    case Type::kExit:
      return m;
    case Type::kRun:
      m.run = decode_run(json, from);
      m.attempt = m.run.attempt;
      return m;
    default:
      decode_attempt(json, from, m);
  }
  return m;
}

// A line that is no JSON only because of numbers that JSON does not have. The stream is sound, so a
// result with such a figure fails its stage and costs no executor.
Message decode_nonfinite(const NonfiniteJson& parsed, std::string_view from) {
  const NonfiniteJson::Member& first = parsed.members.front();
  const std::string problem = fmt::format(
      "{} is {}: JSON has no such number (Python's json.dumps writes it all the same); send null "
      "for a figure that is not defined",
      first.path, first.text);
  const Json type = parsed.value.is_object() ? parsed.value.value("type", Json()) : Json();
  if (type == name_of(Type::kMetric)) return decode(parsed.value, from);
  if (type != name_of(Type::kDone)) refuse(from, problem);
  Message done = decode(parsed.value, from);
  Message failed;
  failed.type = Type::kFailed;
  failed.attempt = std::move(done.attempt);
  failed.failure = {"method", problem, {{"member", first.path}}};
  return failed;
}

}  // namespace

Message decode(std::string_view line, std::string_view from) {
  if (line.size() > kMaxLineBytes)
    refuse(from, fmt::format("a message of {} bytes is over the limit of {}", line.size(),
                             kMaxLineBytes));
  Json json;
  try {
    json = parse_json(line, from, kMaxDepth);
  } catch (const Error&) {
    if (const auto parsed = parse_nonfinite(line, kMaxDepth))
      return decode_nonfinite(*parsed, from);
    throw;
  }
  return decode(json, from);
}

void LineReader::feed(std::string_view bytes) { buffer_.append(bytes); }

std::optional<std::string> LineReader::next() {
  const std::size_t end = buffer_.find('\n', scanned_);
  if (end == std::string::npos) {
    scanned_ = buffer_.size();
    if (buffer_.size() > kMaxLineBytes)
      refuse(from_, fmt::format("a line is over the limit of {} bytes", kMaxLineBytes));
    return std::nullopt;
  }
  if (end > kMaxLineBytes)
    refuse(from_, fmt::format("a line is over the limit of {} bytes", kMaxLineBytes));
  std::string line = buffer_.substr(0, end);
  buffer_.erase(0, end + 1);
  scanned_ = 0;
  return line;
}

}  // namespace assay::protocol
