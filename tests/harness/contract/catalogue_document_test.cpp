// docs/formats/catalogue.md says what harness/contract/catalogue.h does: every record with every
// field of it, no more, and its example is a catalogue.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "harness/base/atomic_file.h"
#include "harness/contract/catalogue.h"

namespace assay {
namespace {

using Fields = std::map<std::string, std::set<std::string>>;  // record -> names

// One of each record, so that the JSON shows their fields.
Json one_of_each() {
  Catalogue c;
  c.provider = "p";
  c.stages = {{.name = "s", .inputs = {{.name = "i", .stage = "s"}}}};
  c.methods = {{.name = "m", .parameters = {{.name = "a", .default_value = 1.0}}}};
  c.metrics = {{.name = "e", .stage = "s", .values = {{.name = "v"}}}};
  c.families = {{.name = "f"}};
  c.readers = {{.name = "r", .files = {{"train", {{"images", "x"}}}}}};
  return to_json(c);
}

std::set<std::string> names_in(const Json& record) {
  std::set<std::string> names;
  for (const auto& item : record.items()) names.insert(item.key());
  return names;
}

Fields fields_of_code() {
  const Json c = one_of_each();
  return {{"catalogue", names_in(c)},
          {"stages", names_in(c["stages"][0])},
          {"stages.inputs", names_in(c["stages"][0]["inputs"][0])},
          {"stages.resources", names_in(c["stages"][0]["resources"])},
          {"methods", names_in(c["methods"][0])},
          {"parameters", names_in(c["methods"][0]["parameters"][0])},
          {"metrics", names_in(c["metrics"][0])},
          {"metrics.values", names_in(c["metrics"][0]["values"][0])},
          {"metrics.values.samples", names_in(c["metrics"][0]["values"][0]["samples"])},
          {"families", names_in(c["families"][0])},
          {"readers", names_in(c["readers"][0])},
          {"readers.files", names_in(c["readers"][0]["files"]["train"][0])}};
}

// Names in backticks in the first column of the tables below each heading with that first column.
Fields fields_of_page(const std::string& page) {
  Fields fields;
  std::string record;
  bool table = false;
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) record = line.substr(3), table = false;
    if (line.starts_with("| field |")) table = true;
    if (!table || !line.starts_with("| `")) continue;
    const std::string cell = line.substr(0, line.find(" |", 1));
    for (std::size_t at = cell.find('`'); at != std::string::npos;) {
      const std::size_t end = cell.find('`', at + 1);
      fields[record].insert(cell.substr(at + 1, end - at - 1));
      at = cell.find('`', end + 1);
    }
  }
  return fields;
}

TEST(CatalogueDocument, has_every_record_with_all_of_its_fields) {
  EXPECT_EQ(fields_of_page(read_file("docs/formats/catalogue.md")), fields_of_code());
}

TEST(CatalogueDocument, shows_a_catalogue_that_is_one) {
  const std::string page = read_file("docs/formats/catalogue.md");
  const std::size_t begin = page.find("```json\n") + 8;
  const Json example = parse_json(page.substr(begin, page.find("```", begin) - begin), "example");
  const Catalogue catalogue = catalogue_from(example);
  EXPECT_EQ(catalogue.methods.at(0).network, "mine.quantize");
  EXPECT_EQ(catalogue.files.size(), 2U);
}

}  // namespace
}  // namespace assay
