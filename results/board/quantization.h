#pragma once

#include <compare>
#include <set>
#include <string>
#include <vector>

#include "results/store/reader.h"

// The protocol by which the network of a row is quantized: which layers and sites, in which
// rounding order. Rows of different protocols never share a table, as those of different
// fingerprints do not; a half that stays float fits every protocol of that half.

namespace assay::results {

// Canonical JSON of what the method said of weights and of activations; "": they stay float.
struct Quantization {
  std::string weights;
  std::string activations;

  auto operator<=>(const Quantization&) const = default;
};

// Of a row that is measured. A method that reads bits and does not say what it quantizes has a
// protocol of its own kind, which fits nothing that is known.
Quantization quantization_of(const ResultRow& row);

// Whether a row may stand in a table.
bool fits(const Quantization& row, const Quantization& table);

// The tables that these rows need: those protocols that fit no other one.
std::vector<Quantization> tables_for(const std::set<Quantization>& rows);

// For the title of a table: "16 layers (float: head), 127 sites by round(x/s) + z"; "" if nothing
// is quantized.
std::string quantization_text(const Quantization& quantization);

// Names of the layers that stay float, as far as the method names them: "head, patch_embed.proj".
std::string float_layers_text(const Json& quantization);

}  // namespace assay::results
