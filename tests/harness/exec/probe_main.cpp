#include <ATen/ATen.h>

#include <chrono>
#include <new>
#include <stdexcept>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/contract/protocol.h"
#include "harness/exec/program.h"

// An executor whose stages do one thing each that the loop must handle.

namespace assay::exec {
namespace {

Json echo(StageContext& context) {
  write_file_atomically(context.output() / "echo.json", context.recipe().dump());
  context.metric("loss", 0.5, 1);
  return {{"metrics", {{"answer", context.recipe().at("parameters").at("value")}}}};
}

Json counts_until_stopped(StageContext& context) {
  const auto path = context.resume_dir() / "count";
  std::int64_t count = std::filesystem::exists(path) ? std::stoll(read_file(path)) : 0;
  const std::int64_t total = context.recipe().at("parameters").at("value").get<std::int64_t>();
  while (count < total) {
    ++count;
    context.progress(count, total, "steps");
    if (context.stop_requested()) {
      write_file_atomically(path, std::to_string(count));
      context.checkpoint(count);
      throw Error(ErrorKind::kLost, "stopped at a checkpoint");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {{"metrics", {{"count", count}}}};
}

Json fails(StageContext& context) {
  const std::string how = context.recipe().at("parameters").at("value").get<std::string>();
  if (how == "data") throw Error(ErrorKind::kData, "bad file", {{"file", "x.bin"}});
  if (how == "std") throw std::runtime_error("did not converge");
  if (how == "alloc") throw std::bad_alloc();
  if (how == "torch_memory") at::empty({std::int64_t{1} << 46});
  if (how == "torch") at::ones({2, 3}).mm(at::ones({2, 3}));
  if (how == "long") throw Error(ErrorKind::kMethod, "long", {{"x", std::string(protocol::kMaxLineBytes + 1, 'x')}});
  if (how == "int") throw 7;
  return Json::object();
}

Json keeps(StageContext& context) {
  bool made = false;
  const std::string key = context.recipe().at("parameters").at("value").get<std::string>();
  context.resident(key, [&] {
    made = true;
    return std::make_shared<int>(1);
  });
  return {{"metrics", {{"made", made ? 1 : 0}}}};
}

Json too_long(StageContext&) { return {{"note", std::string(protocol::kMaxLineBytes + 1, 'x')}}; }

Json not_finite(StageContext&) {
  return {{"metrics", {{"top1", std::numeric_limits<double>::quiet_NaN()}}}};
}

Json asks_for_an_input(StageContext& context) { return {{"path", context.input("tokens")}}; }

Registry probe_registry() {
  const auto stage = [](const char* name, StageBody body) {
    StageDeclaration declaration;
    declaration.name = name;
    declaration.reads = {"value"};
    return StageImplementation{declaration, std::move(body)};
  };
  Registry registry;
  registry.add_all<StageImplementation>(
      {stage("echo", echo), stage("count", counts_until_stopped), stage("fails", fails),
       stage("keeps", keeps), stage("too_long", too_long), stage("not_finite", not_finite),
       stage("asks", asks_for_an_input)});
  return registry;
}

}  // namespace
}  // namespace assay::exec

int main(int argc, char** argv) {
  return assay::exec::run_program(argc, argv, &assay::exec::probe_registry);
}
