#include "harness/spec/run_settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "harness/base/suggest.h"
#include "harness/contract/precision.h"

namespace assay::spec {
namespace {

constexpr int kMaxSlots = 65'536;
constexpr int kMaxThreads = 4'096;
constexpr int kMaxRetries = 1'000;

std::optional<double> time_from(const Node& node, std::string_view key) {
  if (node.is_null() || (node.is_scalar() && node.text == "none")) return {};
  if (node.is_scalar()) {
    const auto seconds = seconds_from(node.text);
    if (seconds && *seconds > 0) return seconds;
    if (seconds) {
      refuse(node.place,
             fmt::format("{} must be longer than {}; for no limit write none", key, node.text),
             node.shown());
    }
  }
  const bool number = node.is_scalar() && to_json(node).is_number();
  refuse(node.place,
         fmt::format("{} must be a time with its unit like 90s, 10m, 1h30m or 2d, or none, not {}{}",
                     key, node.shown(),
                     number ? fmt::format("; seconds are written '{}s'", node.text) : ""),
         node.shown());
}

FailureLimit failure_limit_from(const Node& node) {
  if (node.is_null() || (node.is_scalar() && node.text == "none")) return {};
  if (node.is_scalar() && node.text.ends_with('%')) {
    double percent = 0;
    const char* last = node.text.data() + node.text.size() - 1;
    const auto [end, error] = std::from_chars(node.text.data(), last, percent);
    if (error == std::errc() && end == last && percent >= 0 && percent <= 100) {
      return {.fraction = percent / 100, .count = {}};
    }
  } else if (node.is_scalar() && to_json(node).is_number_integer() &&
             to_json(node).get<std::int64_t>() >= 1) {
    return {.fraction = {}, .count = to_json(node).get<std::int64_t>()};
  }
  refuse(
      node.place,
      fmt::format("max_failures must be a share like 20%, a count of at least 1, or none, not {}",
                  node.shown()),
      node.shown());
}

std::string device_from(const Node& node) {
  const std::string& text = text_of(node, "device");
  if (text == "cpu" || text == "cuda") return text;
  const bool model =
      text.starts_with("cuda:") && text.size() > 5 && text.size() <= 64 &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
                             5) == std::string::npos;
  if (model) return text;
  refuse(node.place,
         fmt::format("device '{}' is not known; legal: cpu, cuda, cuda:<model> (cuda:H100)", text),
         text);
}

std::string choice_from(const Node& node, std::string_view key,
                        const std::vector<std::string>& legal) {
  const std::string& text = text_of(node, key);
  if (std::find(legal.begin(), legal.end(), text) != legal.end()) return text;
  refuse(node.place,
         fmt::format("{} '{}' is not supported; legal: {}", key, text, fmt::join(legal, ", ")),
         text);
}

bool skips_impossible(const Node& node) {
  const std::string& text = text_of(node, "impossible");
  if (text == "skip" || text == "refuse") return text == "skip";
  refuse(node.place,
         fmt::format("impossible '{}' is not known{}", text, suggestion(text, {"refuse", "skip"})),
         text);
}

}  // namespace

std::optional<double> seconds_from(std::string_view text) {
  constexpr double kTenYears = 10.0 * 365 * 86'400;
  if (text.empty()) return {};
  double total = 0;
  double last_unit = 1e9;
  while (!text.empty()) {
    double amount = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), amount, std::chars_format::fixed);
    if (error != std::errc() || !(amount >= 0)) return {};
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    double unit = 1;
    switch (text.empty() ? '\0' : text[0]) {
      case 's':
        break;
      case 'm':
        unit = 60;
        break;
      case 'h':
        unit = 3'600;
        break;
      case 'd':
        unit = 86'400;
        break;
      default:
        return {};  // also a number without a unit: seconds, minutes or days?
    }
    text.remove_prefix(1);
    if (unit >= last_unit) return {};
    last_unit = unit;
    total += amount * unit;
  }
  if (total > kTenYears) return {};
  return total;
}

RunSettings run_settings_from(Node& node) {
  RunSettings settings;
  Fields fields(node, "run");
  if (Node* slots = fields.take("slots"); slots != nullptr && slots->text != "auto") {
    settings.slots = static_cast<int>(integer_of(*slots, "slots (or auto)", 1, kMaxSlots));
  }
  if (Node* device = fields.take("device")) settings.device = device_from(*device);
  if (Node* threads = fields.take("threads")) {
    settings.threads = static_cast<int>(integer_of(*threads, "threads", 1, kMaxThreads));
  }
  if (Node* precision = fields.take("precision")) {
    settings.precision = choice_from(*precision, "precision", enum_choices<Precision>());
  }
  if (Node* level = fields.take("cpu_level")) {
    settings.cpu_level = choice_from(*level, "cpu_level", {"auto", "default", "avx2", "avx512"});
  }
  if (Node* time = fields.take("stage_timeout")) {
    settings.stage_timeout_s = time_from(*time, "stage_timeout");
  }
  if (Node* time = fields.take("stall_timeout")) {
    settings.stall_timeout_s = time_from(*time, "stall_timeout");
  }
  if (Node* time = fields.take("time_limit")) {
    settings.time_limit_s = time_from(*time, "time_limit");
  }
  if (Node* retries = fields.take("retries")) {
    settings.retries = static_cast<int>(integer_of(*retries, "retries", 0, kMaxRetries));
  }
  if (Node* limit = fields.take("max_failures")) {
    settings.max_failures = failure_limit_from(*limit);
  }
  if (Node* impossible = fields.take("impossible")) {
    settings.skip_impossible = skips_impossible(*impossible);
  }
  fields.finish();
  return settings;
}

}  // namespace assay::spec
