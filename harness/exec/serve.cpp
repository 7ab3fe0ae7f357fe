#include "harness/exec/serve.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <deque>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/inspection.h"
#include "harness/exec/context.h"
#include "harness/exec/environment.h"
#include "harness/exec/failure.h"
#include "harness/exec/heartbeat.h"
#include "harness/formats/input_watch.h"

namespace assay::exec {
namespace {

using protocol::Message;
using protocol::Type;

// Models and data sets kept warm: a base model, a network made of it, calibration and test data.
constexpr std::size_t kResidentValues = 6;

// A figure that JSON cannot carry must not reach a board as an empty cell.
void check_result(const Json& result) {
  if (!result.is_object())
    throw Error(ErrorKind::kMethod, "a stage must return an object, not " + result.dump());
  if (!result.contains("metrics")) return;
  for (const auto& item : result.at("metrics").items()) {
    if (!item.value().is_number() || !std::isfinite(item.value().get<double>()))
      throw Error(
          ErrorKind::kMethod,
          fmt::format("metric '{}' is {}, not a finite number", item.key(),
                      item.value().is_number() ? fmt::format("{}", item.value().get<double>())
                                               : item.value().dump()),
          {{"metric", item.key()}});
  }
}

class Server {
 public:
  Server(Channel& channel, const Registry& registry)
      : channel_(channel), registry_(registry), cache_(kResidentValues) {}

  void run() {
    Message hello;
    hello.type = Type::kHello;
    hello.version = protocol::kVersion;
    hello.provider = registry_.catalogue().provider;
    hello.pid = ::getpid();
    channel_.send(hello);
    while (const auto message = next()) {
      if (message->type == Type::kExit) return;
      handle(*message);
    }
  }

 private:
  std::optional<Message> next() {
    if (waiting_.empty()) return channel_.receive();
    Message message = waiting_.front();
    waiting_.pop_front();
    return message;
  }

  void handle(const Message& message) {
    switch (message.type) {
      case Type::kDescribe:
        describe(message.path);
        break;
      case Type::kInspect:
        inspect(message);
        break;
      case Type::kRun:
        channel_.send(outcome_of(message.run));
        break;
      case Type::kStop:  // came after the end of its run
        break;
      default:
        throw Error(ErrorKind::kData,
                    fmt::format("message of the supervisor: an executor does not take '{}'",
                                protocol::name_of(message.type)));
    }
  }

  void describe(const std::string& path) {
    write_file_atomically(path, to_json(registry_.catalogue()).dump(1));
    Message described;
    described.type = Type::kDescribed;
    described.path = path;
    channel_.send(described);
  }

  void inspect(const Message& message) {
    if (!registry_.inspection())
      throw Error(ErrorKind::kData, "message of the supervisor: this executor does not inspect");
    write_answers(message.answer, registry_.inspection()(read_questions(message.path)));
    Message inspected;
    inspected.type = Type::kInspected;
    inspected.path = message.answer;
    channel_.send(inspected);
  }

  // The one message that ends a run, already known to fit a line.
  Message outcome_of(const protocol::Run& run) {
    try {
      Message done;
      done.type = Type::kDone;
      done.attempt = run.attempt;
      done.result = result_of(run);
      protocol::encode(done);
      return done;
    } catch (...) {
      return failure_of(run, std::current_exception());
    }
  }

  Json result_of(const protocol::Run& run) {
    const StageBody& body = registry_.body(run.stage);
    apply_numerics(numerics_from(run.recipe));
    // A network kept from an earlier stage may still read its pages from a file that has changed.
    if (!watch_->still_valid()) cache_.clear();
    ProtocolContext context(run, channel_, cache_, watch_, waiting_);
    Json result;
    {
      const Heartbeat heartbeat(channel_, run.attempt);
      result = body(context);
      watch_->check();
    }
    check_result(result);
    result["environment"] = environment_facts();
    return result;
  }

  // An input that changed explains a failure better than what the stage made of it.
  std::exception_ptr cause_of(const std::exception_ptr& exception) {
    try {
      watch_->check();
    } catch (...) {
      cache_.clear();  // a network that was read from it may hold other bytes
      return std::current_exception();
    }
    return exception;
  }

  Message failure_of(const protocol::Run& run, const std::exception_ptr& exception) {
    Message failed;
    failed.type = Type::kFailed;
    failed.attempt = run.attempt;
    failed.failure = failure_from(cause_of(exception));
    if (failed.failure.kind == "oom") cache_.clear();
    try {
      protocol::encode(failed);
    } catch (const Error&) {
      failed.failure.context = Json::object();  // the pairs were too long; the message says it
    }
    return failed;
  }

  Channel& channel_;
  const Registry& registry_;
  ResidentCache cache_;
  std::shared_ptr<InputWatch> watch_ = std::make_shared<InputWatch>();
  std::deque<Message> waiting_;
};

}  // namespace

void serve(Channel& channel, const Registry& registry) { Server(channel, registry).run(); }

}  // namespace assay::exec
