#include <fmt/format.h>

#include "harness/app/checkpoint_facts.h"
#include "harness/app/cli.h"
#include "harness/base/error.h"
#include "harness/base/suggest.h"
#include "harness/plan/file_digests.h"
#include "harness/run/load_plan.h"
#include "harness/supervise/providers.h"

namespace assay::app {
namespace {

using results::Table;
using results::text_cell;

std::string text_of(const Json& value) {
  return value.is_null()     ? "(required)"
         : value.is_string() ? value.get<std::string>()
                             : value.dump();
}

std::string legal_values(const ParameterSchema& p) {
  if (!p.choices.empty()) return fmt::format("{}", fmt::join(p.choices, ", "));
  if (p.minimum && p.maximum) return fmt::format("{} to {}", *p.minimum, *p.maximum);
  if (p.minimum) return fmt::format("at least {}", *p.minimum);
  if (p.maximum) return fmt::format("at most {}", *p.maximum);
  return "";
}

std::string meaning_of(const ParameterSchema& p) {
  if (p.when.empty()) return p.doc;
  return fmt::format("{} Read only with {}.", p.doc, condition_text(p.when));
}

Table parameters(const std::string& title, const std::vector<ParameterSchema>& schemas) {
  Table table{.title = title,
              .columns = {{"parameter"}, {"default"}, {"unit"}, {"legal"}, {"meaning"}}};
  for (const ParameterSchema& p : schemas) {
    table.rows.push_back({text_cell(p.name),
                          {text_of(p.default_value), p.default_value},
                          text_cell(p.unit),
                          text_cell(legal_values(p)),
                          text_cell(meaning_of(p))});
  }
  return table;
}

Table methods_table(const std::vector<Catalogue>& catalogues) {
  Table table{.title = "Methods", .columns = {{"name"}, {"needs"}, {"title"}}};
  for (const Catalogue& c : catalogues) {
    for (const auto& m : c.methods) {
      table.rows.push_back({text_cell(m.name), text_cell(m.calibration), text_cell(m.title)});
    }
  }
  return table;
}

// Name, task and title of metrics, families or readers.
template <typename Member>
Table simple_table(const std::string& title, const std::vector<Catalogue>& catalogues,
                   Member member) {
  Table table{.title = title, .columns = {{"name"}, {"task"}, {"title"}}};
  for (const Catalogue& c : catalogues) {
    for (const auto& d : c.*member) {
      table.rows.push_back(
          {text_cell(d.name), text_cell(d.task.empty() ? "any" : d.task), text_cell(d.title)});
    }
  }
  return table;
}

std::vector<Table> overview(const std::vector<Catalogue>& catalogues) {
  std::vector<Table> tables = {methods_table(catalogues),
                               simple_table("Model families", catalogues, &Catalogue::families),
                               simple_table("Metrics", catalogues, &Catalogue::metrics),
                               simple_table("Data readers", catalogues, &Catalogue::readers)};
  tables.back().notes = {"`assay describe NAME` shows parameters with units and defaults"};
  return tables;
}

Table method_table(const MethodDeclaration& m) {
  Table table = parameters(fmt::format("Method {}: {}", m.name, m.title), m.parameters);
  const auto list = [](const std::vector<std::string>& names, const char* none) {
    return names.empty() ? std::string(none) : fmt::format("{}", fmt::join(names, ", "));
  };
  if (!m.paper.empty()) table.notes.push_back("paper: " + m.paper);
  table.notes.push_back("families: " + list(m.families, "all"));
  table.notes.push_back("data: " + m.calibration);
  table.notes.push_back(std::string("reads bits: ") + (m.reads_bits ? "yes" : "no"));
  table.notes.push_back("traits: " + list(m.traits, "none"));
  table.notes.push_back("switches for ablations: " + list(m.switches, "none"));
  return table;
}

std::vector<Table> one(const std::vector<Catalogue>& catalogues, const std::string& name) {
  std::vector<Table> tables;
  std::vector<std::string> legal;
  const auto note = [&](const auto& list, const auto& make) {
    for (const auto& d : list) {
      legal.push_back(d.name);
      if (d.name == name) tables.push_back(make(d));
    }
  };
  for (const Catalogue& c : catalogues) {
    note(c.methods, method_table);
    note(c.metrics, [](const MetricDeclaration& m) {
      Table table = parameters(fmt::format("Metric {}: {}", m.name, m.title), m.parameters);
      for (const MetricValue& v : m.values) {
        table.notes.push_back(fmt::format(
            "gives {}{}, {} is better{}", v.name, v.unit.empty() ? "" : " (" + v.unit + ")",
            v.higher_is_better ? "higher" : "lower", v.primary ? ", on the board" : ""));
      }
      return table;
    });
    note(c.families, [](const FamilyDeclaration& f) {
      return parameters(fmt::format("Model family {}: {}", f.name, f.title), f.configuration);
    });
    note(c.readers, [](const ReaderDeclaration& r) {
      Table table = parameters(fmt::format("Data reader {}: {}", r.name, r.title), r.parameters);
      for (const std::string& root : r.roots) table.notes.push_back("looks in " + root);
      return table;
    });
  }
  if (tables.empty()) {
    throw Error(ErrorKind::kConfig,
                fmt::format("nothing is called '{}'{}", name, suggestion(name, legal)));
  }
  return tables;
}

supervise::Providers known_providers(const std::string& sweep) {
  plan::FileDigests digests(plan::digest_cache());
  if (sweep.empty()) {
    return supervise::Providers::gather(
        {}, true, supervise::catalogue_cache(),
        [&digests](const std::filesystem::path& path) { return digests.digest(path); });
  }
  return run::providers_of(spec::SweepFile(sweep, {}), digests);
}

}  // namespace

void describe_commands(Cli& cli) {
  Command command(
      cli, "describe", "Methods, models, data readers and metrics with their parameters",
      "  assay describe                 # everything there is\n"
      "  assay describe gptq            # parameters, units, defaults, paper\n"
      "  assay describe mine --sweep mine.yaml   # also what the sweep's providers offer\n"
      "  assay describe --model zoo/vit_fashion");
  struct Options {
    std::string name, model, sweep;
  };
  const auto options = std::make_shared<Options>();
  command.format();
  command.argument("name", options->name, "A method, family, metric or reader", "NAME");
  command.option("--model", options->model, "What a checkpoint is: its configuration and tensors",
                 "PATH");
  command.option("--sweep", options->sweep, "A sweep whose providers are described too", "FILE");
  command.runs([&cli, options] {
    if (!options->model.empty()) {
      cli.print(checkpoint_facts(options->model));
      return 0;
    }
    const auto providers = known_providers(options->sweep);
    cli.print(options->name.empty() ? overview(providers.catalogues())
                                    : one(providers.catalogues(), options->name));
    return 0;
  });
}

}  // namespace assay::app
