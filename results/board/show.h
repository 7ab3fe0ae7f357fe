#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "results/board/table.h"
#include "results/store/reader.h"

namespace assay::results {

// The trial that `name` means: its id, a unique beginning of at least 4 digits, or its label.
// Throws Error(kConfig) if there is none or several.
TrialSummary find_trial(Reader& reader, const std::string& name);

// Throws Error(kConfig): `name` is the label of several trials, which are named by their ids.
[[noreturn]] void refuse_ambiguous(const std::filesystem::path& file, const std::string& name,
                                   const std::vector<TrialSummary>& trials);

// Whether two labels have the same words in any order. The steps of a composition are one word, in
// their order.
bool same_words(const std::string& label, const std::string& name);

struct ShowOptions {
  bool tensors = false;  // a row for each tensor of its network, not for each kind of them
};

// One trial: what it is, its figures, its stages with attempts and logs, how the tensors of its
// network are stored, the files behind them with their digests, and the fields of its protocols.
std::vector<Table> show(Reader& reader, const TrialSummary& trial, const ShowOptions& options = {});

// A query as a table.
Table table_of(const QueryResult& result);

}  // namespace assay::results
