#include "harness/plan/questions.h"

#include <unordered_map>
#include <utility>

#include "harness/base/digest.h"

namespace assay::plan {
namespace {

// Finds the question of a stage that was met before without writing its recipe.
struct Sameness {
  const void* frame;
  std::string parameters;
  std::vector<std::pair<std::string, std::uint32_t>> inputs;

  bool operator==(const Sameness&) const = default;
};

struct SamenessHash {
  std::size_t operator()(const Sameness& same) const {
    std::size_t hash = std::hash<const void*>()(same.frame);
    const auto mix = [&](std::size_t value) {
      hash ^= value + 0x9E3779B97F4A7C15U + (hash << 6) + (hash >> 2);
    };
    mix(std::hash<std::string>()(same.parameters));
    for (const auto& [name, question] : same.inputs) mix(question);
    return hash;
  }
};

class Asking {
 public:
  explicit Asking(const Plan& plan) : plan_(plan) {
    for (std::size_t i = 0; i < plan.stages.size(); ++i) by_key_.emplace(plan.stages[i].key, i);
  }

  PlanQuestions ask() {
    for (const Stage& stage : plan_.stages) asked_.of_stage.push_back(question_of(stage));
    return std::move(asked_);
  }

 private:
  std::uint32_t question_of(const Stage& stage) {
    Sameness same{stage.recipe.frame(), stage.recipe.parameters().str(), {}};
    for (const StageInput& input : stage.inputs) {
      // Shards are one question, whatever their number.
      std::string name = input.name;
      if (name.starts_with("shard.")) name = "shard.0";
      std::pair<std::string, std::uint32_t> below{std::move(name),
                                                  asked_.of_stage[by_key_.at(input.key)]};
      if (same.inputs.empty() || same.inputs.back() != below) same.inputs.push_back(below);
    }
    if (same.frame == nullptr) return add(stage, same.inputs);
    const auto [found, fresh] =
        known_.try_emplace(same, static_cast<std::uint32_t>(asked_.questions.size()));
    return fresh ? add(stage, same.inputs) : found->second;
  }

  std::uint32_t add(const Stage& stage,
                    const std::vector<std::pair<std::string, std::uint32_t>>& inputs) {
    Question question{.provider = stage.provider,
                      .stage = stage.name,
                      .recipe = stage.recipe_json(),
                      .locations = *stage.locations};
    for (const char* member : {"seed", "shard", "unshared", "inputs"})
      question.recipe.erase(member);
    Json identity = to_json(question);
    identity["inputs"] = Json::object();
    for (const auto& [name, index] : inputs) {
      question.inputs[name] = index;
      identity["inputs"][name] = asked_.digests[index];
    }
    asked_.digests.push_back(sha256(identity.dump(-1, ' ', false, Json::error_handler_t::replace)));
    asked_.questions.push_back(std::move(question));
    return static_cast<std::uint32_t>(asked_.questions.size() - 1);
  }

  const Plan& plan_;
  PlanQuestions asked_;
  std::unordered_map<std::string_view, std::size_t> by_key_;
  std::unordered_map<Sameness, std::uint32_t, SamenessHash> known_;
};

}  // namespace

PlanQuestions questions_of(const Plan& plan) { return Asking(plan).ask(); }

}  // namespace assay::plan
