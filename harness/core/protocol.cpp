#include "harness/core/protocol.h"

#include <fmt/format.h>

#include <array>
#include <limits>

#include "harness/core/error.h"
#include "harness/core/nonfinite_json.h"
#include "harness/core/suggest.h"

namespace assay::protocol {
namespace {

constexpr std::array<std::pair<Type, std::string_view>, 18> kNames{
    {{Type::kHello, "hello"},
     {Type::kDescribed, "described"},
     {Type::kPrepared, "prepared"},
     {Type::kInspected, "inspected"},
     {Type::kAlive, "alive"},
     {Type::kProgress, "progress"},
     {Type::kMetric, "metric"},
     {Type::kCheckpoint, "checkpoint"},
     {Type::kListening, "listening"},
     {Type::kDone, "done"},
     {Type::kFailed, "failed"},
     {Type::kDescribe, "describe"},
     {Type::kPrepare, "prepare"},
     {Type::kInspect, "inspect"},
     {Type::kRun, "run"},
     {Type::kStop, "stop"},
     {Type::kPeers, "peers"},
     {Type::kExit, "exit"}}};

constexpr int kMaxDepth = 32;

[[noreturn]] void refuse(std::string_view from, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", from, problem),
              {{"from", std::string(from)}});
}

// Reads members of one message; every complaint names the sender and the field.
class Fields {
 public:
  Fields(const Json& json, std::string_view from) : json_(json), from_(from) {}

  std::string text(const char* name) const {
    const Json& value = at(name);
    if (!value.is_string()) wrong(name, "a text", value);
    return value.get<std::string>();
  }
  double number(const char* name) const {
    const Json& value = at(name);
    if (!value.is_number()) wrong(name, "a number", value);
    return value.get<double>();
  }
  double number_or_nan(const char* name) const {
    return at(name).is_null() ? std::numeric_limits<double>::quiet_NaN() : number(name);
  }
  bool flag(const char* name) const {
    if (!json_.contains(name)) return false;
    const Json& value = at(name);
    if (!value.is_boolean()) wrong(name, "true or false", value);
    return value.get<bool>();
  }
  std::int64_t integer(const char* name) const {
    const Json& value = at(name);
    if (!value.is_number_integer()) wrong(name, "an integer", value);
    return value.get<std::int64_t>();
  }
  Json object(const char* name, bool optional = false) const {
    if (optional && !json_.contains(name)) return Json::object();
    const Json& value = at(name);
    if (!value.is_object()) wrong(name, "an object", value);
    return value;
  }
  Json array(const char* name) const {
    const Json& value = at(name);
    if (!value.is_array()) wrong(name, "a list", value);
    return value;
  }
  std::map<std::string, std::string> texts(const char* name) const {
    std::map<std::string, std::string> result;
    const Json table = object(name);
    for (const auto& item : table.items()) {
      if (!item.value().is_string()) wrong(name, "an object of texts", item.value());
      result[item.key()] = item.value().get<std::string>();
    }
    return result;
  }
  std::vector<std::string> list_of_texts(const char* name) const {
    std::vector<std::string> result;
    if (!json_.contains(name)) return result;
    for (const Json& item : array(name)) {
      if (!item.is_string()) wrong(name, "a list of texts", item);
      result.push_back(item.get<std::string>());
    }
    return result;
  }

 private:
  const Json& at(const char* name) const {
    const auto found = json_.find(name);
    if (found == json_.end())
      refuse(from_, fmt::format("message lacks field '{}': {}", name, json_.dump().substr(0, 200)));
    return *found;
  }
  [[noreturn]] void wrong(const char* name, std::string_view expected, const Json& value) const {
    refuse(from_, fmt::format("field '{}' must be {}, not {}", name, expected,
                              value.dump().substr(0, 100)));
  }

  const Json& json_;
  std::string_view from_;
};

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

std::string encode(const Message& m) {
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
    case Type::kListening:
      j["address"] = m.address;
      break;
    case Type::kDone:
      j["result"] = m.result;
      if (!m.resident.empty()) j["resident"] = m.resident;
      break;
    case Type::kFailed:
      j["kind"] = m.failure.kind, j["message"] = m.failure.message,
      j["context"] = m.failure.context;
      break;
    case Type::kRun:
      j["attempt"] = m.run.attempt, j["stage"] = m.run.stage, j["key"] = m.run.key,
      j["recipe"] = m.run.recipe, j["locations"] = m.run.locations, j["inputs"] = m.run.inputs,
      j["output"] = m.run.output, j["resume_dir"] = m.run.resume_dir;
      break;
    case Type::kStop:
      j["grace_s"] = m.grace_s;
      break;
    case Type::kPeers:
      j["peers"] = m.peers, j["secret"] = m.name;
      break;
    case Type::kAlive:
    case Type::kPrepare:
    case Type::kPrepared:
    case Type::kExit:
      break;
  }
  std::string line = j.dump(-1, ' ', false, Json::error_handler_t::replace);
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

Message decode(const Json& json, std::string_view from) {
  if (!json.is_object())
    refuse(from, "a message must be a JSON object, not " + json.dump().substr(0, 100));
  const Fields fields(json, from);
  Message m;
  m.type = type_from(fields.text("type"), from);
  switch (m.type) {
    case Type::kHello:
      m.version =
          static_cast<int>(std::clamp<std::int64_t>(fields.integer("protocol"), -1, 1'000'000));
      m.provider = fields.text("provider");
      m.pid = fields.integer("pid");
      m.prepares = fields.flag("prepares");
      return m;
    case Type::kDescribe:
    case Type::kDescribed:
    case Type::kInspected:
      m.path = fields.text("path");
      return m;
    case Type::kInspect:
      m.path = fields.text("path");
      m.answer = fields.text("answer");
      return m;
    case Type::kPrepare:
    case Type::kPrepared:
    case Type::kExit:
      return m;
    case Type::kRun:
      m.run.attempt = fields.text("attempt");
      m.run.stage = fields.text("stage");
      m.run.key = fields.text("key");
      m.run.recipe = fields.object("recipe");
      m.run.locations = fields.object("locations", true);
      m.run.inputs = fields.texts("inputs");
      m.run.output = fields.text("output");
      m.run.resume_dir = fields.text("resume_dir");
      m.attempt = m.run.attempt;
      return m;
    default:
      m.attempt = fields.text("attempt");
  }
  switch (m.type) {
    case Type::kProgress:
      m.progress = {fields.integer("done"), fields.integer("total"), fields.text("unit")};
      break;
    case Type::kMetric:
      m.name = fields.text("name");
      m.value = fields.number_or_nan("value");
      m.step = fields.integer("step");
      break;
    case Type::kCheckpoint:
      m.step = fields.integer("step");
      break;
    case Type::kListening:
      m.address = fields.text("address");
      break;
    case Type::kDone:
      m.result = fields.object("result", true);
      m.resident = fields.list_of_texts("resident");
      break;
    case Type::kFailed:
      m.failure = {fields.text("kind"), fields.text("message"), fields.object("context", true)};
      if (!error_kind_from(m.failure.kind))
        refuse(from, fmt::format("unknown failure kind '{}'; legal: config, method, data, io, oom, "
                                 "crash, lost, timeout, unsupported, environment",
                                 m.failure.kind.substr(0, 100)));
      break;
    case Type::kStop:
      m.grace_s = fields.number("grace_s");
      break;
    case Type::kPeers:
      m.peers = fields.array("peers");
      m.name = fields.text("secret");
      break;
    default:
      break;
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
