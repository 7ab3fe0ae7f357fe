#include "harness/run/plan_inspection.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/plan/questions.h"
#include "harness/plan/refusals.h"
#include "harness/supervise/answer_cache.h"
#include "harness/supervise/store.h"

namespace assay::run {
namespace {

namespace fs = std::filesystem;

bool is_of(const Question& question, const Catalogue& catalogue) {
  return question.provider == catalogue.provider;
}

// The answers of one provider to its own questions: remembered, or asked for.
void ask(const Catalogue& catalogue, const std::vector<std::string>& command, const fs::path& cache,
         const plan::PlanQuestions& asked, std::vector<Answer>& answers) {
  // The version covers the files that a provider is made of.
  const std::string identity = supervise::command_identity(command) + catalogue.version;
  supervise::AnswerCache known(cache.empty() ? fs::path() : cache / (sha256(identity) + ".json"));
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < asked.questions.size(); ++i) {
    if (!is_of(asked.questions[i], catalogue)) continue;
    if (const auto answer = known.find(asked.digests[i])) {
      answers[i] = *answer;
    } else {
      wanted.push_back(i);
    }
  }
  if (!wanted.empty()) {
    std::vector<Answer> fresh = supervise::inspect(command, asked.questions, wanted);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      known.keep(asked.digests[wanted[i]], fresh[i]);
      answers[wanted[i]] = std::move(fresh[i]);
    }
  }
  known.save();
}

bool asks_anything(const plan::Plan& plan, const std::vector<Catalogue>& catalogues) {
  return std::any_of(plan.stages.begin(), plan.stages.end(), [&](const plan::Stage& stage) {
    return std::any_of(catalogues.begin(), catalogues.end(), [&](const Catalogue& each) {
      return each.inspects && stage.provider == each.provider;
    });
  });
}

// Folders are listed from their manifests, so these must be there.
void keep_manifests(const plan::Plan& plan, plan::PlanQuestions& asked) {
  if (plan.manifests.empty()) return;
  supervise::Store store;
  for (const auto& [name, text] : plan.manifests) store.keep_manifest(name, text);
  for (Question& question : asked.questions) {
    question.locations = store.with_manifest_paths(question.locations);
  }
}

void note_facts(const spec::Sweep& sweep, const plan::Plan& plan, const plan::PlanQuestions& asked,
                const std::vector<Answer>& answers, InputFacts& facts) {
  std::vector<bool> noted(asked.questions.size(), false);
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const std::uint32_t question = asked.of_stage[i];
    if (noted[question]) continue;
    noted[question] = true;
    const Json& learned = answers[question].facts;
    const plan::SweepEntries& entries = plan.stages[i].entries;
    if (entries.model >= 0 && learned.contains("model")) {
      const auto model = static_cast<std::size_t>(entries.model);
      facts.models.try_emplace(sweep.models[model].name, learned["model"]);
    }
    if (entries.data >= 0 && learned.contains("data")) {
      const auto data = static_cast<std::size_t>(entries.data);
      const Json& recipe = asked.questions[question].recipe;
      const std::string split = recipe.value("data", Json::object()).value("split", std::string());
      facts.data.try_emplace({sweep.data[data].name, split}, learned["data"]);
    }
  }
}

}  // namespace

InputFacts inspect_plan(const spec::Sweep& sweep, const supervise::Providers& providers,
                        std::vector<std::string> mistakes, plan::Plan& plan,
                        const fs::path& cache) {
  if (mistakes.empty() && !asks_anything(plan, providers.catalogues())) return {};
  plan::PlanQuestions asked = plan::questions_of(plan);
  keep_manifests(plan, asked);
  std::vector<Answer> answers(asked.questions.size());
  for (const Catalogue& catalogue : providers.catalogues()) {
    if (!catalogue.inspects) continue;
    ask(catalogue, providers.commands().at(catalogue.provider), cache, asked, answers);
  }
  plan::Judgement judgement = plan::judge(sweep, plan, asked, answers, sweep.run.skip_impossible);
  for (std::string& mistake : judgement.mistakes) {
    if (std::find(mistakes.begin(), mistakes.end(), mistake) == mistakes.end()) {
      mistakes.push_back(std::move(mistake));
    }
  }
  if (!mistakes.empty()) {
    throw Error(ErrorKind::kConfig, plan::mistakes_text(mistakes));
  }
  InputFacts facts;
  note_facts(sweep, plan, asked, answers, facts);
  if (!judgement.impossible.empty()) {
    if (judgement.impossible.size() == plan.trials.size()) {
      spec::refuse(
          sweep.run_place,
          fmt::format("impossible: skip leaves no trial; the first, {}: {}",
                      judgement.impossible.front().label, judgement.impossible.front().reason));
    }
    plan = plan::without_trials(std::move(plan), judgement.dropped);
    std::move(judgement.impossible.begin(), judgement.impossible.end(),
              std::back_inserter(plan.impossible));
  }
  return facts;
}

fs::path inspection_cache() {
  const fs::path catalogues = supervise::catalogue_cache();
  return catalogues.empty() ? fs::path() : catalogues.parent_path() / "inspections";
}

}  // namespace assay::run
