#include <exception>
#include <iostream>
#include <iterator>
#include <string>

#include "datasets/tokenizer.h"
#include "harness/base/json.h"
#include "harness/formats/checkpoint_layout.h"

// tokenize_texts FOLDER: reads a JSON list of texts, writes a list of {"ids", "ends"}, or
// {"error"} where a text is refused.
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    const auto tokenizer = assay::datasets::open_tokenizer(
        assay::checkpoint_on_disk(argv[1], {.network = false, .tokenizer = true}));
    const std::string input(std::istreambuf_iterator<char>(std::cin), {});
    assay::Json results = assay::Json::array();
    for (const assay::Json& text : assay::parse_json(input, "standard input")) {
      try {
        const auto encoding = tokenizer->encoding_of_text(text.get<std::string>());
        results.push_back({{"ids", encoding.ids}, {"ends", encoding.ends}});
      } catch (const std::exception& error) {
        results.push_back({{"error", error.what()}});
      }
    }
    std::cout << results.dump() << "\n";
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
