#include "results/board/metric_pairs.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

#include "harness/base/error.h"
#include "harness/contract/catalogue.h"
#include "results/board/quantization.h"
#include "results/store/fingerprint.h"

namespace assay::results {
namespace {

using Place = std::tuple<std::string, std::string, std::string>;  // metric, data, split

// Measured rows by place, one a stage.
std::map<Place, std::map<std::string, ResultRow>> by_place(const std::vector<ResultRow>& rows) {
  std::map<Place, std::map<std::string, ResultRow>> places;
  for (const ResultRow& row : rows) {
    if (row.timing || row.metric == kNetworkMetric || row.fingerprint.empty()) continue;
    places[{row.metric, row.data, row.split}].emplace(row.stage, row);
  }
  return places;
}

// "top1 on fashion/test, perplexity on austen/test" or "none".
std::string places_text(const std::map<Place, std::map<std::string, ResultRow>>& places) {
  std::string text;
  for (const auto& [place, unused] : places) {
    const auto& [metric, data, split] = place;
    text += fmt::format("{}{} on {}/{}", text.empty() ? "" : ", ", metric, data, split);
  }
  return text.empty() ? "none" : text;
}

std::string other_protocol(const ResultRow& left, const ResultRow& right,
                           const std::function<Json(const std::string&)>& protocol_of) {
  const auto differences =
      protocol_differences(protocol_of(left.fingerprint), protocol_of(right.fingerprint));
  return fmt::format(
      "{} on {}/{} was measured under different protocols and cannot be compared: {}", left.metric,
      left.data, left.split, fmt::join(differences, "; "));
}

// Fills in `where`: data and split, and of several pairs of a metric the settings that differ.
void tell_apart(std::vector<MetricPair>& pairs) {
  std::map<Place, std::vector<MetricPair*>> alike;
  for (MetricPair& pair : pairs) {
    pair.where = pair.left.data + "/" + pair.left.split;
    alike[{pair.left.metric, pair.left.data, pair.left.split}].push_back(&pair);
  }
  for (const auto& [unused, several] : alike) {
    std::map<std::string, std::set<std::string>> values;
    for (const MetricPair* pair : several) {
      const Json settings = parse_json(pair->left.settings, "settings");
      for (const auto& item : settings.items()) values[item.key()].insert(item.value().dump());
    }
    for (MetricPair* pair : several) {
      const Json settings = parse_json(pair->left.settings, "settings");
      for (const auto& [name, seen] : values) {
        if (seen.size() > 1) {
          pair->where += fmt::format(" {}={}", name, settings.value(name, Json()).dump());
        }
      }
    }
  }
}

bool belongs(const ResultRow& row, const ResultRow& to) {
  return row.stage == to.stage && row.metric == to.metric && row.data == to.data &&
         row.split == to.split && row.settings == to.settings;
}

const ResultRow* find_figure(const std::vector<ResultRow>& rows, const ResultRow& of,
                             const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const ResultRow& row) {
    return belongs(row, of) && row.name == name;
  });
  return found == rows.end() ? nullptr : &*found;
}

// Why a figure cannot be paired; "" if it can. Null: that side has no such figure.
std::string why_unpaired(const ResultRow* a, const ResultRow* b) {
  if (a == nullptr || b == nullptr)
    return a == nullptr ? "A does not have it" : "B does not have it";
  if (!a->value || !b->value) return a->value ? "B has no value" : "A has no value";
  if (a->samples.empty() && b->samples.empty()) return "no per-sample values are declared";
  if (a->samples.empty() || b->samples.empty()) {
    return fmt::format(
        "{} declares no per-sample values (the next `assay run` of a whole sweep adds "
        "those of a database of an older format)",
        a->samples.empty() ? "A" : "B");
  }
  return a->samples == b->samples ? "" : "it follows from other per-sample values in A than in B";
}

// Sorts the figures of two rows' stages into what can be paired, what boards show unasked first,
// and what cannot.
void add_figures(MetricPair& pair, const std::vector<ResultRow>& lefts,
                 const std::vector<ResultRow>& rights) {
  std::set<std::string> names;
  for (const ResultRow& row : lefts) {
    if (belongs(row, pair.left)) names.insert(row.name);
  }
  for (const ResultRow& row : rights) {
    if (belongs(row, pair.right)) names.insert(row.name);
  }
  for (const std::string& name : names) {
    const ResultRow* a = find_figure(lefts, pair.left, name);
    const std::string why = why_unpaired(a, find_figure(rights, pair.right, name));
    if (why.empty()) {
      pair.figures.push_back(*a);
    } else {
      pair.left_out[why].push_back(name);
    }
  }
  std::stable_sort(
      pair.figures.begin(), pair.figures.end(),
      [](const ResultRow& a, const ResultRow& b) { return a.is_primary && !b.is_primary; });
}

}  // namespace

std::vector<MetricPair> common_metrics(const std::vector<ResultRow>& left,
                                       const std::vector<ResultRow>& right,
                                       const std::function<Json(const std::string&)>& protocol_of,
                                       std::vector<std::string>& left_out) {
  const auto left_places = by_place(left), right_places = by_place(right);
  std::vector<MetricPair> pairs;
  std::vector<std::string> unlike;
  for (const auto& [place, left_rows] : left_places) {
    const auto other = right_places.find(place);
    if (other == right_places.end()) continue;
    const std::size_t before = pairs.size();
    std::set<std::string> paired;  // several settings may be one protocol
    for (const auto& [left_stage, a] : left_rows) {
      for (const auto& [right_stage, b] : other->second) {
        if (a.fingerprint != b.fingerprint || !paired.insert(a.fingerprint).second) continue;
        add_figures(pairs.emplace_back(MetricPair{.left = a, .right = b}), left, right);
      }
    }
    if (pairs.size() == before) {
      unlike.push_back(
          other_protocol(left_rows.begin()->second, other->second.begin()->second, protocol_of));
    }
  }
  if (pairs.empty() && !unlike.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("{}", fmt::join(unlike, "\n")));
  }
  if (pairs.empty()) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("the two trials have no metric in common that is measured and is no timing: "
                    "A has {}, B {}",
                    places_text(left_places), places_text(right_places)));
  }
  for (const std::string& each : unlike) left_out.push_back("left out: " + each);
  tell_apart(pairs);
  return pairs;
}

std::string quantization_note(const ResultRow& left, const ResultRow& right) {
  const Quantization a = quantization_of(left), b = quantization_of(right);
  if (tables_for({a, b}).size() < 2) return "";
  const auto text = [](const Quantization& quantization) {
    const std::string protocol = quantization_text(quantization);
    return protocol.empty() ? std::string("a protocol that its method does not state") : protocol;
  };
  return fmt::format("the networks are quantized by different protocols: A by {}; B by {}", text(a),
                     text(b));
}

std::string weights_note(const ResultRow& left, const ResultRow& right) {
  const auto weights_of = [](const ResultRow& row) {
    return row.identity.value("content", Json::object()).value("weights", std::string("none"));
  };
  const std::string a = weights_of(left), b = weights_of(right);
  if (left.model != right.model || a == b) return "";
  return fmt::format("model '{}' has other weights in A ({}) than in B ({})", left.model, a, b);
}

}  // namespace assay::results
