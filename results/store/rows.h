#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "harness/base/json.h"
#include "harness/record/records.h"

// Rows of the tables (docs/formats/database.md), each with its one field list: it gives the columns
// of INSERT and SELECT and their order.

namespace assay::results {

// How the run folder was started, once a start.
struct SweepRow {
  std::string name;
  double started_unix_s = 0;
  std::string assay_version;
  std::string git_commit;
  bool dirty = false;
  std::string host;
  std::string command_line;
  std::string text;
  Json options = Json::object();
  Json left_out = Json::array();

  static void fields(auto& r, auto&& visit) {
    visit("name", r.name);
    visit("started_unix_s", r.started_unix_s);
    visit("assay_version", r.assay_version);
    visit("git_commit", r.git_commit);
    visit("dirty", r.dirty);
    visit("host", r.host);
    visit("command_line", r.command_line);
    visit("text", r.text);
    visit("options", r.options);
    visit("left_out", r.left_out);
  }
};

// What the plan says of a stage; state and result come later.
struct StageRow {
  std::string key;
  std::string name;
  std::string label;
  std::string provider;
  std::string cache;
  std::string retention;
  bool exclusive = false;
  Json recipe = Json::object();
  Json inputs = Json::object();  // input name -> key

  static void fields(auto& r, auto&& visit) {
    visit("key", r.key);
    visit("name", r.name);
    visit("label", r.label);
    visit("provider", r.provider);
    visit("cache", r.cache);
    visit("retention", r.retention);
    visit("exclusive", r.exclusive);
    visit("recipe", r.recipe);
    visit("inputs", r.inputs);
  }
};

struct TrialRow {
  std::string id;
  std::string label;
  std::string model;
  std::string family;
  std::string task;
  std::string method;
  std::string bits;
  bool deterministic = false;
  Json identity = Json::object();
  Json chosen = Json::object();  // parameter -> value, those off their defaults
  std::optional<std::string> network_stage;
  bool current = true;

  static void fields(auto& r, auto&& visit) {
    visit("id", r.id);
    visit("label", r.label);
    visit("model", r.model);
    visit("family", r.family);
    visit("task", r.task);
    visit("method", r.method);
    visit("bits", r.bits);
    visit("deterministic", r.deterministic);
    visit("identity", r.identity);
    visit("chosen", r.chosen);
    visit("network_stage", r.network_stage);
    visit("current", r.current);
  }
};

struct TrialStageRow {
  std::string trial;
  std::string stage;
  bool current = true;

  static void fields(auto& r, auto&& visit) {
    visit("trial", r.trial);
    visit("stage", r.stage);
    visit("current", r.current);
  }
};

struct AttemptRow {
  record::AttemptRecord record;
  std::string environment;  // digest of its facts

  static void fields(auto& r, auto&& visit) {
    record::AttemptRecord::fields(r.record, visit);
    visit("environment", r.environment);
  }
};

// A figure that a trial should have; its value comes with the result of the stage.
struct MetricRow {
  std::string trial;
  std::string stage;
  std::string metric;
  std::string name;
  std::string data;
  std::string split;
  std::string settings;  // canonical JSON
  std::string unit;
  bool higher_is_better = true;
  bool is_primary = false;
  bool current = true;
  std::string samples = {};  // text_of its SampleValues

  static void fields(auto& r, auto&& visit) {
    visit("trial", r.trial);
    visit("stage", r.stage);
    visit("metric", r.metric);
    visit("name", r.name);
    visit("data", r.data);
    visit("split", r.split);
    visit("settings", r.settings);
    visit("unit", r.unit);
    visit("higher_is_better", r.higher_is_better);
    visit("is_primary", r.is_primary);
    visit("current", r.current);
    visit("samples", r.samples);
  }
};

struct SampleSetRow {
  std::string stage;
  std::string file;
  std::int64_t size_bytes = 0;

  static void fields(auto& r, auto&& visit) {
    visit("stage", r.stage);
    visit("file", r.file);
    visit("size_bytes", r.size_bytes);
  }
};

struct EventRow {
  double unix_s = 0;
  std::string kind;
  std::string stage;
  std::string message;

  static void fields(auto& r, auto&& visit) {
    visit("unix_s", r.unix_s);
    visit("kind", r.kind);
    visit("stage", r.stage);
    visit("message", r.message);
  }
};

}  // namespace assay::results
