// The provider of echo.py in C++ without LibTorch: starts in a millisecond, so benchmarks and tests
// that kill measure and hit the harness. ECHO_CATALOGUE: path of echo_catalogue.json.

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/protocol.h"
#include "harness/formats/safetensors_file.h"

namespace {

namespace fs = std::filesystem;
using assay::Error;
using assay::ErrorKind;
using assay::Json;
using assay::protocol::Message;
using assay::protocol::Type;
using Clock = std::chrono::steady_clock;

constexpr const char* kName = "echo";

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void sleep_s(double seconds) {
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

class Wire {
 public:
  explicit Wire(int descriptor) : descriptor_(descriptor), reader_("supervisor") {}

  void send(const Message& message) { raw(assay::protocol::encode(message)); }
  void raw(std::string_view data) {
    while (!data.empty()) {
      const ssize_t n = ::send(descriptor_, data.data(), data.size(), MSG_NOSIGNAL);
      if (n <= 0) std::_Exit(0);  // the supervisor is gone
      data.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // The next message, nullopt if there is none yet; ends the program at end of file.
  std::optional<Message> receive(bool wait) {
    for (;;) {
      if (std::optional<std::string> line = reader_.next())
        return assay::protocol::decode(*line, "supervisor");
      pollfd ready{descriptor_, POLLIN, 0};
      if (!wait && ::poll(&ready, 1, 0) == 0) return std::nullopt;
      char block[16384];
      const ssize_t got = ::recv(descriptor_, block, sizeof block, 0);
      if (got <= 0) std::_Exit(0);
      reader_.feed({block, static_cast<std::size_t>(got)});
    }
  }
  void close() { ::close(descriptor_); }

 private:
  int descriptor_;
  assay::protocol::LineReader reader_;
};

class Stage {
 public:
  Stage(Wire& wire, const assay::protocol::Run& run)
      : wire_(wire), run_(run), parameters_(run.recipe.value("parameters", Json::object())) {}

  Wire& wire() { return wire_; }
  const assay::protocol::Run& run() const { return run_; }
  template <typename T>
  T parameter(const char* name, T fallback) const {
    return parameters_.value(name, fallback);
  }
  Json value() const { return parameters_.value("value", Json(0)); }
  std::int64_t seed() const { return run_.recipe.value("seed", std::int64_t{0}); }

  Message message(Type type) const {
    Message made;
    made.type = type;
    made.attempt = run_.attempt;
    return made;
  }
  void progress(std::int64_t done, std::int64_t total, const char* unit) {
    if (told_ && seconds_since(*told_) < 0.5) return;  // at most two a second
    told_ = Clock::now();
    Message made = message(Type::kProgress);
    made.progress = {done, total, unit};
    wire_.send(made);
  }
  void metric(const char* name, double value, std::int64_t step) {
    Message made = message(Type::kMetric);
    made.name = name, made.value = value, made.step = step;
    wire_.send(made);
  }
  void checkpoint(std::int64_t step) {
    Message made = message(Type::kCheckpoint);
    made.step = step;
    wire_.send(made);
  }
  bool stop_requested() {
    const std::optional<Message> got = wire_.receive(false);
    return got && got->type == Type::kStop && got->attempt == run_.attempt;
  }
  Json metrics() const { return {{"metrics", {{"echo_value", value()}, {"echo_seed", seed()}}}}; }

  // Counts the executions of this stage, over crashes, by a file in resume_dir.
  bool recovered() const {
    const auto after = parameter<std::int64_t>("recovers_after", 0);
    if (after <= 0) return false;
    fs::create_directories(run_.resume_dir);
    const fs::path path = fs::path(run_.resume_dir) / "attempts";
    std::string marks = fs::exists(path) ? assay::read_file(path) : "";
    const auto before = static_cast<std::int64_t>(marks.size());
    assay::write_file_atomically(path, marks + ".");
    return before >= after;
  }

 private:
  Wire& wire_;
  const assay::protocol::Run& run_;
  Json parameters_;
  std::optional<Clock::time_point> told_;
};

Json value(Stage& stage) { return stage.metrics(); }

Json sleep(Stage& stage) {
  const Clock::time_point start = Clock::now();
  const double total = stage.parameter("seconds", 0.1);
  for (double passed = 0; passed < total; passed = seconds_since(start)) {
    if (stage.stop_requested()) throw Error(ErrorKind::kLost, "stopped as asked");
    stage.progress(static_cast<std::int64_t>(passed * 1e3), static_cast<std::int64_t>(total * 1e3),
                   "ms");
    sleep_s(std::min(0.02, total - passed));
  }
  return stage.metrics();
}

Json fail(Stage& stage) {
  if (stage.recovered()) return stage.metrics();
  const auto kind = assay::error_kind_from(stage.parameter<std::string>("kind", "method"));
  throw Error(kind.value_or(ErrorKind::kMethod),
              stage.parameter<std::string>("message", "it was asked to fail"));
}

Json crash(Stage& stage) {
  if (stage.recovered()) return stage.metrics();
  std::puts("about to abort");
  std::fflush(stdout);
  std::abort();
}

Json hang(Stage&) {
  for (;;) sleep_s(60);
}

Json noise(Stage& stage) {
  std::string line;
  for (int i = 0; i < 16; ++i) line += "noise ";
  line += '\n';
  const auto count = static_cast<std::size_t>(stage.parameter<std::int64_t>("bytes", 1000));
  std::string text;
  text.reserve(count + line.size());
  while (text.size() < count) text += line;
  for (std::FILE* stream : {stdout, stderr}) {
    std::fwrite(text.data(), 1, count, stream);
    std::fflush(stream);
  }
  return stage.metrics();
}

Json file(Stage& stage) {
  const fs::path output = stage.run().output;
  fs::create_directories(output);
  std::vector<double> samples;
  const auto count = stage.parameter<std::int64_t>("samples", 10);
  const double base = stage.value().get<double>() + static_cast<double>(stage.seed());
  for (std::int64_t i = 0; i < count; ++i) samples.push_back(base + static_cast<double>(i));
  assay::write_safetensors(output / "samples.safetensors",
                           {{"value", {"F64", {count}, std::as_bytes(std::span(samples))}}});
  assay::write_file_atomically(
      output / "note.txt", fmt::format("value {} seed {}\n", stage.value().dump(), stage.seed()));
  return stage.metrics();
}

Json long_one(Stage& stage) {
  const fs::path path = fs::path(stage.run().resume_dir) / "checkpoint.json";
  fs::create_directories(path.parent_path());
  std::int64_t step = 0;
  if (fs::exists(path))
    step = assay::parse_json(assay::read_file(path), path.string()).at("step").get<std::int64_t>();
  const auto steps = stage.parameter<std::int64_t>("steps", 20);
  std::int64_t executed = 0;
  for (; step < steps; ++executed) {
    if (stage.stop_requested())
      throw Error(ErrorKind::kLost, fmt::format("stopped as asked after step {}", step));
    sleep_s(stage.parameter("step_s", 0.05));
    ++step;
    assay::write_file_atomically(path, Json{{"step", step}}.dump());
    stage.metric("echo_loss", 1.0 / static_cast<double>(step), step);
    stage.checkpoint(step);
    stage.progress(step, steps, "steps");
  }
  Json result = stage.metrics();
  result["metrics"]["echo_steps"] = step;
  result["cost"] = {{"executed_steps", executed}};
  return result;
}

Json garbage(Stage& stage) {
  const auto how = stage.parameter<std::string>("how", "not_json");
  const std::string attempt = Json(stage.run().attempt).dump();
  Wire& wire = stage.wire();
  if (how == "bad_result") return {{"metrics", {{"echo_value", "many"}}}};
  if (how == "not_json") wire.raw("terminate called after throwing an instance of 'x'\n");
  if (how == "binary") wire.raw(std::string("\0\xff\xfe\x01", 4) + "\n");
  if (how == "invalid_utf8") wire.raw("{\"type\": \"\xff\xfe\"}\n");
  if (how == "unknown_type")
    wire.raw(R"({"type": "dnoe"})"
             "\n");
  if (how == "wrong_type")
    wire.raw(fmt::format(
        R"({{"type": "progress", "attempt": {}, "done": "half", "total": 1, "unit": ""}})"
        "\n",
        attempt));
  if (how == "missing_field")
    wire.raw(fmt::format(R"({{"type": "metric", "attempt": {}, "name": "x"}})"
                         "\n",
                         attempt));
  if (how == "too_long")
    wire.raw("{\"type\": \"done\", \"x\": \"" + std::string(70000, 'x') + "\"}\n");
  if (how == "endless_line") wire.raw(std::string(1'100'000, 'x'));
  if (how == "downward")
    wire.raw(fmt::format(R"({{"type": "stop", "attempt": {}, "grace_s": 1}})"
                         "\n",
                         attempt));
  if (how == "nan_result") {
    wire.raw(fmt::format(R"({{"type": "done", "attempt": {}, "result": )"
                         R"({{"metrics": {{"echo_value": NaN}}}}}})"
                         "\n",
                         attempt));
    return Json();  // the end of the run has been said
  }
  if (how == "closed") wire.close();
  sleep_s(60);
  return stage.metrics();
}

// The metrics of an input's artifact.
Json metrics_of(fs::path path) {
  if (fs::is_directory(path)) path /= "result.json";
  return assay::parse_json(assay::read_file(path), path.string()).at("metrics");
}

Json measure(Stage& stage) {
  const auto found = stage.run().inputs.find("network");
  if (found == stage.run().inputs.end()) return stage.metrics();
  const Json metrics = metrics_of(found->second);
  return {{"metrics",
           {{"echo_value", metrics.at("echo_value")}, {"echo_seed", metrics.at("echo_seed")}}}};
}

// One of so many equal parts of the value.
Json part(Stage& stage) {
  const auto parts = stage.run().recipe.at("shard").at(1).get<double>();
  const auto found = stage.run().inputs.find("network");
  double whole = 0;
  if (found != stage.run().inputs.end()) metrics_of(found->second).at("echo_value").get_to(whole);
  return {{"metrics", {{"echo_part", whole / parts}}}};
}

Json total(Stage& stage) {
  double sum = 0;
  for (const auto& [name, path] : stage.run().inputs) {
    if (name.starts_with("shard.")) sum += metrics_of(path).at("echo_part").get<double>();
  }
  return {{"metrics", {{"echo_sum", sum}}}};
}

Json time_it(Stage&) {
  const Clock::time_point start = Clock::now();
  for (volatile int i = 0; i < 1000;) i = i + 1;
  return {{"metrics", {{"echo_ms", seconds_since(start) * 1e3}}}};
}

void execute(Wire& wire, const assay::protocol::Run& run) {
  static const std::map<std::string, std::function<Json(Stage&)>> kBodies{
      {"echo.value", value},     {"echo.sleep", sleep},   {"echo.fail", fail},
      {"echo.crash", crash},     {"echo.hang", hang},     {"echo.noise", noise},
      {"echo.file", file},       {"echo.long", long_one}, {"echo.garbage", garbage},
      {"echo.measure", measure}, {"echo.part", part},     {"echo.sum", total},
      {"echo.time", time_it}};
  Stage stage(wire, run);
  Message answer = stage.message(Type::kDone);
  const auto fail_with = [&](ErrorKind kind, const std::string& message) {
    answer = stage.message(Type::kFailed);
    answer.failure = {std::string(assay::name_of(kind)), message, Json::object()};
  };
  try {
    const auto body = kBodies.find(run.stage);
    if (body == kBodies.end())
      throw Error(ErrorKind::kUnsupported, fmt::format("no stage '{}' here", run.stage));
    answer.result = body->second(stage);
    if (answer.result.is_null()) return;
  } catch (const Error& e) {
    fail_with(e.kind(), e.what());
  } catch (const std::exception& e) {
    fail_with(ErrorKind::kMethod, e.what());
  }
  wire.send(answer);
}

void describe(Wire& wire, const std::string& path) {
  Json catalogue = assay::parse_json(assay::read_file(ECHO_CATALOGUE), ECHO_CATALOGUE);
  catalogue["provider"] = kName;  // it does not say "inspects", so it is never asked to
  assay::write_file_atomically(path, catalogue.dump());
  Message answer;
  answer.type = Type::kDescribed;
  answer.path = path;
  wire.send(answer);
}

}  // namespace

int main() {
  const char* descriptor = std::getenv("ASSAY_FD");
  if (descriptor == nullptr) {
    std::fputs("echo_provider is started by assay, which sets ASSAY_FD\n", stderr);
    return 2;
  }
  try {
    Wire wire(std::atoi(descriptor));
    Message hello;
    hello.type = Type::kHello;
    hello.version = assay::protocol::kVersion;
    hello.provider = kName;
    hello.pid = ::getpid();
    const char* preparation_s = std::getenv("ECHO_PREPARE_S");
    hello.prepares = preparation_s != nullptr;
    wire.send(hello);
    for (;;) {
      const Message message = *wire.receive(true);
      if (message.type == Type::kExit) return 0;
      if (message.type == Type::kDescribe) describe(wire, message.path);
      if (message.type == Type::kPrepare) {
        sleep_s(std::atof(preparation_s));
        Message prepared;
        prepared.type = Type::kPrepared;
        wire.send(prepared);
      }
      if (message.type == Type::kRun) execute(wire, message.run);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
