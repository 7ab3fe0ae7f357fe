#include "harness/run/batch_job.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "harness/supervise/host.h"

namespace assay::run {
namespace {

std::optional<double> number_from(std::string_view text) {
  double value = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc{} || rest != text.data() + text.size() || !(value >= 0))
    return std::nullopt;
  return value;
}

// What the program prints, at most a line's worth; "" if it is not there or does not answer.
std::string squeue_says(const std::string& job) {
  const std::string command =
      fmt::format("timeout -s KILL 10 squeue -h -j {} -o %L 2>/dev/null </dev/null", job);
  std::FILE* pipe = ::popen(command.c_str(), "re");
  if (pipe == nullptr) return "";
  char text[256] = {};
  const std::size_t got = std::fread(text, 1, sizeof text - 1, pipe);
  ::pclose(pipe);
  return std::string(text, got);
}

}  // namespace

std::optional<double> seconds_from_squeue(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\n' || c == '\t'; };
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  double days = 0;
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    const auto value = number_from(text.substr(0, dash));
    if (!value) return std::nullopt;
    days = *value;
    text.remove_prefix(dash + 1);
  }
  double seconds = 0;
  int fields = 0;
  for (bool more = true; more; ++fields) {
    const std::size_t colon = text.find(':');
    const auto value = number_from(text.substr(0, colon));
    if (!value) return std::nullopt;
    seconds = 60 * seconds + *value;
    more = colon != std::string_view::npos;
    if (more) text.remove_prefix(colon + 1);
  }
  if (fields < 2 || fields > 3) return std::nullopt;
  return 86400 * days + seconds;
}

std::optional<double> batch_job_remaining_s() {
  if (const char* end = std::getenv("SLURM_JOB_END_TIME")) {
    const auto unix_s = number_from(end);
    if (unix_s) return std::max(0.0, *unix_s - supervise::unix_seconds());
  }
  const char* job = std::getenv("SLURM_JOB_ID");
  // A number, so that a shell may see it.
  if (job == nullptr || !number_from(job) ||
      std::string_view(job).find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  return seconds_from_squeue(squeue_says(job));
}

}  // namespace assay::run
