#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace assay::datasets {

// Legal values of `join`: "file", "wikitext", "newlines", "space".
const std::vector<std::string>& join_rules();

// A text whose rows are its lines, as the data-set library of Hugging Face hands them out, joined
// again:
//   file      the text as it is
//   wikitext  a line of white space only becomes empty, others keep their line feed; two line feeds
//             between rows (WikiText-2 raw as every published perplexity has it)
//   newlines  lines stripped, two line feeds between them (PTB, old)
//   space     lines stripped, one space between them (PTB)
// Throws Error(kConfig) for another rule.
std::string joined_rows(std::string_view text, const std::string& rule);

// What lies between the separators; pieces of white space only are left out.
std::vector<std::string> split_documents(std::string_view text, std::string_view separator);

// Words separated by white space.
std::int64_t count_words(std::string_view text);

// Of those, how many begin in the bytes [begin, end).
std::int64_t count_words(std::string_view text, std::size_t begin, std::size_t end);

// Bytes that a text editor does not show, and that become tokens all the same: texts are taken as
// they are.
struct HiddenBytes {
  std::int64_t carriage_returns = 0;  // of line ends CR LF, and others
  std::int64_t byte_order_marks = 0;  // U+FEFF
  std::int64_t nul_bytes = 0;         // a text in UTF-16 is full of them
};
HiddenBytes hidden_bytes(const std::vector<std::string>& documents);

// "the text keeps 12 carriage returns (CR LF line ends)"; "" if there is nothing to say.
std::string note_of(const HiddenBytes& hidden);

}  // namespace assay::datasets
