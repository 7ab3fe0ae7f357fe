#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "harness/formats/input_file.h"

// The novels in Debian's r-cran-janeaustenr: an R lazy-load database (Rdata.rdb), entries one after
// the other, each a big-endian u32 with the size after inflating and one zlib stream, which holds
// an R serialisation (XDR, version 2 or 3) of a string vector, one string a line.

namespace assay::datasets {

// "emma", "mansfield", "northanger", "persuasion", "pride", "sense".
const std::vector<std::string>& austen_novels();

// Every novel in the file by name, UTF-8, each line ended by '\n'. Throws Error(kData) naming file
// and entry if it is malformed or holds something else.
std::map<std::string, std::string> read_austen(const InputFile& file);

// Lines of one inflated R serialisation of a string vector. Throws Error(kData).
std::vector<std::string> r_string_vector(std::string_view bytes, const std::string& what);

}  // namespace assay::datasets
