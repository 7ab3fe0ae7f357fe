#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/suggest.h"
#include "harness/spec/load.h"
#include "harness/spec/method_expression.h"

namespace assay::spec {
namespace {

constexpr std::size_t kMaxEvaluations = 10'000;

// Every combination of the values of each parameter, the first parameter outermost.
std::vector<Json> combinations(const std::vector<std::pair<std::string, std::vector<Json>>>& axes,
                               const Place& place) {
  std::vector<Json> points{Json::object()};
  for (const auto& [name, values] : axes) {
    if (points.size() * values.size() > kMaxEvaluations) {
      refuse(place, fmt::format("more than {} settings in one entry", kMaxEvaluations));
    }
    std::vector<Json> longer;
    for (const Json& point : points) {
      for (const Json& value : values) {
        longer.push_back(point);
        longer.back()[name] = value;
      }
    }
    points = std::move(longer);
  }
  return points;
}

std::vector<std::string> model_names(Node& node, const Sweep& sweep) {
  std::vector<std::string> known;
  for (const Model& model : sweep.models) known.push_back(model.name);
  std::vector<std::string> names;
  for (Node* item : list_of(node, "models")) {
    const std::string& name = text_of(*item, "a model name");
    if (sweep.find_model(name) == nullptr) {
      refuse(item->place, fmt::format("unknown model '{}'{}", name, suggestion(name, known)), name);
    }
    names.push_back(name);
  }
  return names;
}

std::vector<std::string> method_names(Node& node, const Catalogue& catalogue) {
  std::vector<std::string> names;
  for (Node* item : list_of(node, "methods")) {
    names.push_back(method_expression(text_of(*item, "a method"), item->place, catalogue).text);
  }
  return names;
}

void add_entry(Node& node, const Catalogue& catalogue, Sweep& sweep) {
  Fields fields(node, "evaluate entry");
  Node& metric_node = fields.require("metric");
  const std::string& name = text_of(metric_node, "metric");
  const MetricDeclaration* metric = catalogue.find_metric(name);
  if (metric == nullptr) {
    std::vector<std::string> known;
    for (const MetricDeclaration& each : catalogue.metrics) known.push_back(each.name);
    refuse(metric_node.place, fmt::format("unknown metric '{}'{}", name, suggestion(name, known)),
           name);
  }
  Evaluation entry;
  entry.metric = name;
  entry.place = node.place;
  if (Node* split = fields.take("split")) entry.split = text_of(*split, "split");
  if (Node* data = fields.take("data")) {
    entry.data = text_of(*data, "data");
    if (sweep.find_data(entry.data) == nullptr) {
      std::vector<std::string> known;
      for (const DataSet& each : sweep.data) known.push_back(each.name);
      refuse(data->place,
             fmt::format("unknown data set '{}'{}", entry.data, suggestion(entry.data, known)),
             entry.data);
    }
  }
  if (Node* models = fields.take("models")) entry.models = model_names(*models, sweep);
  if (Node* methods = fields.take("methods")) entry.methods = method_names(*methods, catalogue);
  std::vector<std::pair<std::string, std::vector<Json>>> axes;
  for (const ParameterSchema& schema : metric->parameters) {
    if (Node* value = fields.take(schema.name)) {
      axes.emplace_back(schema.name, parameter_values(schema, *value));
    }
  }
  fields.finish();
  for (const Json& point : combinations(axes, node.place)) {
    entry.parameters = resolved_parameters(metric->parameters, point,
                                           fmt::format("metric '{}'", name), node.place);
    const auto same = [&](const Evaluation& other) {
      return other.metric == entry.metric && other.split == entry.split &&
             other.data == entry.data && other.models == entry.models &&
             other.methods == entry.methods && other.parameters == entry.parameters;
    };
    if (std::any_of(sweep.evaluations.begin(), sweep.evaluations.end(), same)) continue;
    if (sweep.evaluations.size() >= kMaxEvaluations) {
      refuse(node.place, fmt::format("more than {} evaluations", kMaxEvaluations));
    }
    sweep.evaluations.push_back(entry);
  }
}

}  // namespace

void load_evaluations(Node& node, const Catalogue& catalogue, Sweep& sweep) {
  if (!node.is_list()) {
    refuse(node.place,
           fmt::format("evaluate must be a list of {{metric: ...}}, not {}", node.shown()));
  }
  for (Node& item : node.items) add_entry(item, catalogue, sweep);
}

int data_of(const Sweep& sweep, const Trial& trial, const Evaluation& evaluation) {
  const std::string& name =
      evaluation.data.empty() ? sweep.models[trial.model].data : evaluation.data;
  const DataSet* data = name.empty() ? nullptr : sweep.find_data(name);
  return data == nullptr ? -1 : static_cast<int>(data - sweep.data.data());
}

std::string mismatch(const Sweep& sweep, const Trial& trial, const Evaluation& evaluation,
                     const Catalogue& catalogue) {
  const Model& model = sweep.models[trial.model];
  const auto lists = [](const std::vector<std::string>& list, const std::string& name) {
    return list.empty() || std::find(list.begin(), list.end(), name) != list.end();
  };
  if (!lists(evaluation.models, model.name)) return "its model is not in 'models'";
  if (!evaluation.methods.empty()) {
    const bool named = lists(evaluation.methods, method_text(sweep, trial)) ||
                       std::any_of(trial.steps.begin(), trial.steps.end(), [&](std::uint32_t step) {
                         return lists(evaluation.methods, sweep.steps[step].method);
                       });
    if (!named) return "its method is not in 'methods'";
  }
  const MetricDeclaration& metric = *catalogue.find_metric(evaluation.metric);
  if (!metric.task.empty() && metric.task != model.task) {
    return fmt::format("metric {} is for {}, the model for {}", metric.name, metric.task,
                       model.task);
  }
  const int index = data_of(sweep, trial, evaluation);
  if (index >= 0) {
    const DataSet& data = sweep.data[static_cast<std::size_t>(index)];
    if (!data.task.empty() && !model.task.empty() && data.task != model.task) {
      return fmt::format("data {} is for {}, the model for {}", data.name, data.task, model.task);
    }
  } else if (!metric.task.empty()) {
    return fmt::format("model {} has no data and the entry names none", model.name);
  }
  return "";
}

}  // namespace assay::spec
