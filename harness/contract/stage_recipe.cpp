#include "harness/contract/stage_recipe.h"

#include <fmt/format.h>

#include "harness/base/error.h"

namespace assay {
namespace {

constexpr std::int64_t kMostThreads = 1024;

[[noreturn]] void refuse_member(const std::string& member, const Json& value,
                                const std::string& expected) {
  throw Error(ErrorKind::kConfig, fmt::format("the recipe's {} is {}, not {}", member,
                                              value.dump().substr(0, 100), expected));
}

// A member that is an object; an empty one if the recipe has none.
const Json& part_of(const Json& recipe, const char* name) {
  static const Json kNone = Json::object();
  const auto found = recipe.find(name);
  if (found == recipe.end()) return kNone;
  if (!found->is_object()) refuse_member(name, *found, "an object");
  return *found;
}

void read_text(const Json& part, const char* whole, const char* name, std::string& value) {
  const auto found = part.find(name);
  if (found == part.end()) return;
  if (!found->is_string()) refuse_member(fmt::format("{}.{}", whole, name), *found, "a text");
  value = found->get<std::string>();
}

}  // namespace

StageModel model_of(const StageContext& context) {
  const Json& part = part_of(context.recipe(), "model");
  StageModel model;
  read_text(part, "model", "family", model.family);
  const auto config = part.find("config");
  if (config != part.end()) model.config = *config;
  return model;
}

const Json& data_of(const StageContext& context) {
  const auto data = context.recipe().find("data");
  if (data == context.recipe().end()) {
    throw Error(ErrorKind::kConfig, "the recipe lacks 'data'");
  }
  return *data;
}

Numerics numerics_from(const Json& recipe) {
  const Json& part = part_of(recipe, "numerics");
  Numerics numerics;
  read_text(part, "numerics", "device", numerics.device);
  std::string precision(enum_name(numerics.precision));
  read_text(part, "numerics", "precision", precision);
  numerics.precision = enum_from<Precision>(precision, "precision", ErrorKind::kUnsupported);
  read_text(part, "numerics", "cpu_level", numerics.cpu_level);
  read_text(part, "numerics", "mkl", numerics.mkl);
  const auto threads = part.find("threads");
  if (threads == part.end()) return numerics;
  if (!threads->is_number_integer() || threads->get<std::int64_t>() < 1 ||
      threads->get<std::int64_t>() > kMostThreads) {
    refuse_member("numerics.threads", *threads, fmt::format("1 .. {}", kMostThreads));
  }
  numerics.threads = threads->get<std::int64_t>();
  return numerics;
}

Numerics numerics_of(const StageContext& context) { return numerics_from(context.recipe()); }

Shard shard_of(const StageContext& context) {
  const auto shard = context.recipe().find("shard");
  if (shard == context.recipe().end()) return {};
  if (!shard->is_array() || shard->size() != 2 || !(*shard)[0].is_number_integer() ||
      !(*shard)[1].is_number_integer()) {
    refuse_member("shard", *shard, "[index, count]");
  }
  return {.index = (*shard)[0].get<std::int64_t>(), .count = (*shard)[1].get<std::int64_t>()};
}

std::uint64_t seed_of(const StageContext& context) {
  const auto seed = context.recipe().find("seed");
  if (seed == context.recipe().end()) {
    throw Error(ErrorKind::kConfig, "the recipe lacks 'seed'");
  }
  if (!seed->is_number_integer()) refuse_member("seed", *seed, "an integer");
  return static_cast<std::uint64_t>(seed->get<std::int64_t>());
}

}  // namespace assay
