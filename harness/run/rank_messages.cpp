#include "harness/run/rank_messages.h"

#include <fmt/format.h>

#include <optional>
#include <type_traits>

namespace assay::run {
namespace {

template <typename T>
constexpr bool kIsOptional = false;
template <typename T>
constexpr bool kIsOptional<std::optional<T>> = true;

// The field lists below are visited by a writer and by a reader, so that they cannot disagree.
struct Writer {
  Json& json;
  template <typename T>
  void operator()(const char* name, const T& value) const {
    if constexpr (std::is_enum_v<T>) {
      json[name] = static_cast<int>(value);
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      json[name] = value.string();
    } else if constexpr (kIsOptional<T>) {
      json[name] = value ? Json(*value) : Json();
    } else {
      json[name] = value;
    }
  }
};

struct Reader {
  const Json& json;
  template <typename T>
  void operator()(const char* name, T& value) const {
    const Json& field = json.at(name);
    if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(field.get<int>());
    } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
      value = field.get<std::string>();
    } else if constexpr (std::is_same_v<T, Json>) {
      value = field;
    } else if constexpr (kIsOptional<T>) {
      if (!field.is_null()) field.get_to(value.emplace());
    } else {
      field.get_to(value);
    }
  }
};

template <typename T, typename Visit>
void visit_welcome(T& w, const Visit& visit) {
  visit("store", w.store);
  visit("nonce", w.nonce);
  visit("logs", w.logs);
  visit("run", w.run);
  visit("providers", w.providers);
  visit("provider_files", w.provider_files);
  visit("environment", w.environment);
  visit("stall_timeout_s", w.stall_timeout_s);
  visit("stage_timeout_s", w.stage_timeout_s);
  visit("jobs", w.jobs);
  visit("threads", w.threads);
  visit("device", w.device);
  visit("cpu_level", w.cpu_level);
  visit("mkl_intel", w.mkl_intel);
}

template <typename T, typename Visit>
void visit_hello(T& h, const Visit& visit) {
  visit("host", h.host);
  visit("cpu_level", h.cpu_level);
  visit("mkl_intel", h.mkl_intel);
}

template <typename T, typename Visit>
void visit_offer(T& o, const Visit& visit) {
  visit("host", o.host);
  visit("slots", o.slots);
  visit("threads", o.share.threads);
  visit("memory_bytes", o.share.memory_bytes);
  visit("gpus", o.share.gpus);
  visit("gpu_memory_bytes", o.share.gpu_memory_bytes);
}

template <typename T, typename Visit>
void visit_record(T& r, const Visit& visit) {
  record::AttemptRecord::fields(r, visit);
  visit("environment", r.environment);
}

template <typename T, typename Visit>
void visit_report(T& r, const Visit& visit) {
  visit("kind", r.kind);
  visit("slot", r.slot);
  visit("attempt", r.attempt);
  visit("key", r.key);
  visit("done", r.progress.done);
  visit("total", r.progress.total);
  visit("unit", r.progress.unit);
  visit("step", r.step);
  visit("path", r.artifact.path);
  visit("result", r.artifact.result);
  visit("size_bytes", r.artifact.size_bytes);
  visit("first", r.first);
  visit("nondeterminism", r.nondeterminism);
  visit("error", r.error);
  visit("message", r.message);
  visit("checkpointed", r.checkpointed);
  visit("unusable", r.unusable);
  visit("lost_inputs", r.lost_inputs);
}

template <typename T, typename Visit>
void visit_stage(T& s, const Visit& visit) {
  visit("key", s.key);
  visit("name", s.name);
  visit("label", s.label);
  visit("provider", s.provider);
  visit("cache", s.cache);
  visit("retention", s.retention);
  visit("exclusive", s.exclusive);
  visit("residency", s.residency);
}

// Calls `read`; what nlohmann throws becomes an Error that names the message.
template <typename Read>
auto reading(const char* what, const Read& read) {
  try {
    return read();
  } catch (const Json::exception& e) {
    throw Error(ErrorKind::kData, fmt::format("message '{}' between ranks: {}", what, e.what()));
  }
}

constexpr const char* kCommands[] = {"start", "stop", "kill", "retract"};

}  // namespace

Json to_json(const supervise::HostNumerics& host) {
  Json json = {{"type", "hello"}};
  visit_hello(host, Writer{json});
  return json;
}

supervise::HostNumerics host_numerics_from(const Json& json) {
  return reading("hello", [&json] {
    supervise::HostNumerics host;
    visit_hello(host, Reader{json});
    return host;
  });
}

Json to_json(const Welcome& welcome) {
  Json json = {{"type", "welcome"}};
  visit_welcome(welcome, Writer{json});
  return json;
}

Welcome welcome_from(const Json& json) {
  return reading("welcome", [&json] {
    Welcome welcome;
    visit_welcome(welcome, Reader{json});
    return welcome;
  });
}

Json to_json(const SupervisorOffer& offer) {
  Json json = {{"type", "ready"}};
  visit_offer(offer, Writer{json});
  return json;
}

SupervisorOffer supervisor_offer_from(const Json& json) {
  return reading("ready", [&json] {
    SupervisorOffer offer;
    visit_offer(offer, Reader{json});
    return offer;
  });
}

Json to_json(const supervise::Report& report) {
  Json json = Json::object();
  visit_report(report, Writer{json});
  Json record = Json::object();
  visit_record(report.record, Writer{record});
  json["record"] = std::move(record);
  return json;
}

supervise::Report report_from(const Json& json) {
  return reading("reports", [&json] {
    supervise::Report report;
    visit_report(report, Reader{json});
    visit_record(report.record, Reader{json.at("record")});
    return report;
  });
}

Json to_json(const Command& command) {
  Json json = {{"do", kCommands[static_cast<int>(command.kind)]}};
  if (command.kind == Command::Kind::kStart) {
    Json stage = Json::object();
    visit_stage(command.assignment.stage, Writer{stage});
    stage["recipe"] = command.assignment.stage.recipe_json();
    stage["locations"] = *command.assignment.stage.locations;
    json["slot"] = command.slot;
    json["stage"] = std::move(stage);
    json["number"] = command.assignment.number;
    json["inputs"] = command.assignment.inputs;
  } else {
    json["attempt"] = command.attempt;
    json["grace_s"] = command.grace_s;
  }
  return json;
}

Command command_from(const Json& json) {
  return reading("commands", [&json] {
    Command command;
    const auto name = json.at("do").get<std::string>();
    for (int i = 0; i < 4; ++i) {
      if (name == kCommands[i]) command.kind = static_cast<Command::Kind>(i);
    }
    if (command.kind == Command::Kind::kStart) {
      visit_stage(command.assignment.stage, Reader{json.at("stage")});
      command.assignment.stage.recipe = json.at("stage").at("recipe");
      command.assignment.stage.locations = json.at("stage").at("locations");
      json.at("slot").get_to(command.slot);
      json.at("number").get_to(command.assignment.number);
      json.at("inputs").get_to(command.assignment.inputs);
    } else {
      json.at("attempt").get_to(command.attempt);
      json.at("grace_s").get_to(command.grace_s);
    }
    return command;
  });
}

}  // namespace assay::run
