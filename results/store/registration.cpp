#include "results/store/registration.h"

#include "results/store/fingerprint.h"
#include "results/store/rows.h"
#include "results/store/statement.h"

namespace assay::results {
namespace {

StageRow row_of(const plan::Stage& stage) {
  StageRow row{.key = stage.key,
               .name = stage.name,
               .label = stage.label,
               .provider = stage.provider,
               .cache = stage.cache == CachePolicy::kRun ? "run" : "shared",
               .retention = stage.retention == Retention::kTemporary ? "temporary" : "keep",
               .exclusive = stage.exclusive,
               .recipe = stage.recipe_json()};
  for (const plan::StageInput& input : stage.inputs) row.inputs[input.name.str()] = input.key;
  return row;
}

TrialRow row_of(const plan::PlannedTrial& trial, const plan::Plan& plan) {
  TrialRow row{.id = trial.id,
               .label = trial.label,
               .model = trial.model,
               .family = trial.family,
               .task = trial.task,
               .method = trial.method,
               .bits = trial.bits,
               .deterministic = trial.deterministic,
               .identity = trial.identity(),
               .chosen = Json::parse(trial.chosen_text)};
  if (trial.network_stage >= 0) {
    row.network_stage = plan.stages[static_cast<std::size_t>(trial.network_stage)].key;
  }
  return row;
}

std::int64_t insert_sweep(SQLite::Database& database, const plan::Plan& plan,
                          const record::RunStart& start) {
  SweepRow row{.name = plan.sweep,
               .started_unix_s = start.unix_s,
               .assay_version = start.assay_version,
               .git_commit = start.commit,
               .dirty = start.dirty,
               .host = start.host,
               .command_line = start.command_line,
               .text = start.sweep_text,
               .options = start.options};
  for (const plan::LeftOut& out : plan.left_out) {
    row.left_out.push_back({{"trial", out.trial}, {"metric", out.metric}, {"reason", out.reason}});
  }
  Insert<SweepRow>(database, "sweep")(row);
  return database.getLastInsertRowid();
}

bool is_partial(const record::RunStart& start) {
  const auto only = start.options.find("only");
  return only != start.options.end() && only->is_string() && !only->get<std::string>().empty();
}

class Registrar {
 public:
  Registrar(SQLite::Database& database, const plan::Plan& plan)
      : plan_(plan),
        trial_(database, "trial",
               "ON CONFLICT (id) DO UPDATE SET label = excluded.label, model = excluded.model, "
               "family = excluded.family, task = excluded.task, method = excluded.method, bits = "
               "excluded.bits, deterministic = excluded.deterministic, identity = "
               "excluded.identity, chosen = excluded.chosen, network_stage = "
               "excluded.network_stage, current = 1"),
        link_(database, "trial_stage", "ON CONFLICT (trial, stage) DO UPDATE SET current = 1"),
        metric_(database, "metric",
                "ON CONFLICT (trial, stage, metric, name, data, split, settings) DO UPDATE SET "
                "unit = excluded.unit, "
                "higher_is_better = excluded.higher_is_better, is_primary = excluded.is_primary, "
                "current = 1, samples = excluded.samples"),
        old_links_(database, "UPDATE trial_stage SET current = 0 WHERE trial = ?"),
        old_metrics_(database, "UPDATE metric SET current = 0 WHERE trial = ?") {}

  void add(const plan::PlannedTrial& trial) {
    trial_(row_of(trial, plan_));
    run(old_links_, trial.id);
    run(old_metrics_, trial.id);
    for (const std::size_t stage : trial.stages) {
      link_({.trial = trial.id, .stage = plan_.stages[stage].key});
    }
    for (const plan::PlannedMetric& metric : trial.metrics) add(trial.id, metric);
  }

 private:
  void add(const std::string& trial, const plan::PlannedMetric& metric) {
    for (const MetricValue& value : *metric.values) {
      metric_({.trial = trial,
               .stage = plan_.stages[metric.stage].key,
               .metric = metric.metric,
               .name = value.name,
               .data = metric.data,
               .split = metric.split,
               .settings = canonical_json(*metric.protocol),
               .unit = value.unit,
               .higher_is_better = value.higher_is_better,
               .is_primary = value.primary,
               .samples = text_of(value.samples)});
    }
  }

  const plan::Plan& plan_;
  Insert<TrialRow> trial_;
  Insert<TrialStageRow> link_;
  Insert<MetricRow> metric_;
  SQLite::Statement old_links_;
  SQLite::Statement old_metrics_;
};

}  // namespace

std::int64_t register_plan(SQLite::Database& database, const plan::Plan& plan,
                           const record::RunStart& start) {
  const std::int64_t id = insert_sweep(database, plan, start);
  if (!is_partial(start)) database.exec("UPDATE trial SET current = 0");
  Insert<StageRow> stage(
      database, "stage",
      "ON CONFLICT (key) DO UPDATE SET label = excluded.label, provider = excluded.provider, "
      "cache = excluded.cache, retention = excluded.retention, exclusive = excluded.exclusive");
  for (const plan::Stage& planned : plan.stages) stage(row_of(planned));
  Registrar registrar(database, plan);
  for (const plan::PlannedTrial& trial : plan.trials) registrar.add(trial);
  return id;
}

AwaitedMetrics awaited_metrics(const plan::Plan& plan) {
  const Protocols protocols(plan);
  AwaitedMetrics awaited;
  for (const plan::PlannedTrial& trial : plan.trials) {
    for (const plan::PlannedMetric& metric : trial.metrics) {
      Awaited wait{.trial = trial.id,
                   .metric = metric.metric,
                   .data = metric.data,
                   .split = metric.split,
                   .settings = canonical_json(*metric.protocol),
                   .protocol = protocols.planned(metric)};
      for (const MetricValue& value : *metric.values) wait.names.push_back(value.name);
      awaited[plan.stages[metric.stage].key.str()].push_back(std::move(wait));
    }
  }
  return awaited;
}

}  // namespace assay::results
