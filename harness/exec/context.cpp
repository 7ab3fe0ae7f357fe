#include "harness/exec/context.h"

#include <fmt/format.h>

#include <cmath>

#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/contract/artifact_files.h"
#include "harness/formats/input_watch.h"

namespace assay::exec {
namespace {

constexpr auto kProgressInterval = std::chrono::milliseconds(500);

std::filesystem::path made(const std::string& folder, std::string_view what) {
  if (folder.empty()) throw Error(ErrorKind::kIo, fmt::format("the run names no {} folder", what));
  std::error_code failure;
  std::filesystem::create_directories(folder, failure);
  if (failure)
    throw Error(ErrorKind::kIo,
                fmt::format("cannot make {} folder {}: {}", what, folder, failure.message()),
                {{"path", folder}});
  return folder;
}

}  // namespace

ProtocolContext::ProtocolContext(const protocol::Run& run, Channel& channel, ResidentCache& cache,
                                 std::shared_ptr<InputWatch> watch,
                                 std::deque<protocol::Message>& waiting)
    : run_(run), channel_(channel), cache_(cache), watch_(std::move(watch)), waiting_(waiting) {}

protocol::Message ProtocolContext::about_this_run(protocol::Type type) const {
  protocol::Message message;
  message.type = type;
  message.attempt = run_.attempt;
  return message;
}

std::filesystem::path ProtocolContext::input(std::string_view name) const {
  const auto found = run_.inputs.find(std::string(name));
  if (found != run_.inputs.end()) {
    // What the stage reads of it is what was published, from here to the stage's end.
    if (held_.insert(found->first).second) {
      for (const InputFile& file : artifact_files(found->second)) watch_->hold(file);
    }
    return found->second;
  }
  std::vector<std::string> legal;
  for (const auto& entry : run_.inputs) legal.push_back(entry.first);
  throw Error(ErrorKind::kConfig,
              fmt::format("stage {} has no input '{}'{}", run_.stage, name,
                          legal.empty() ? std::string("; it has none") : suggestion(name, legal)),
              {{"stage", run_.stage}, {"input", std::string(name)}});
}

bool ProtocolContext::has_input(std::string_view name) const {
  return run_.inputs.count(std::string(name)) > 0;
}

std::filesystem::path ProtocolContext::output() { return made(run_.output, "output"); }

std::filesystem::path ProtocolContext::resume_dir() { return made(run_.resume_dir, "resume"); }

void ProtocolContext::checkpoint(std::int64_t step) {
  protocol::Message message = about_this_run(protocol::Type::kCheckpoint);
  message.step = step;
  channel_.send(message);
}

void ProtocolContext::progress(std::int64_t done, std::int64_t total, std::string_view unit) {
  const auto now = std::chrono::steady_clock::now();
  if (now < next_progress_) return;
  next_progress_ = now + kProgressInterval;
  protocol::Message message = about_this_run(protocol::Type::kProgress);
  message.progress = {done, total, std::string(unit)};
  channel_.send(message);
}

void ProtocolContext::metric(std::string_view name, double value, std::int64_t step) {
  if (!std::isfinite(value)) return;  // JSON has no such number; the result itself is checked later
  protocol::Message message = about_this_run(protocol::Type::kMetric);
  message.name = std::string(name);
  message.value = value;
  message.step = step;
  channel_.send(message);
}

bool ProtocolContext::stop_requested() const {
  while (const auto message = channel_.receive_now()) {
    if (message->type == protocol::Type::kStop && message->attempt == run_.attempt)
      stop_ = true;
    else
      waiting_.push_back(*message);
  }
  // Nobody is left to take the result: the checkpoint is worth writing all the same.
  if (channel_.at_end()) stop_ = true;
  return stop_;
}

}  // namespace assay::exec
