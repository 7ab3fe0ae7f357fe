#pragma once

#include "harness/contract/stage_context.h"
#include "harness/formats/input_file.h"

namespace assay {

// What a stage may open of its model and of its data set: the files of the recipe with where they
// lie. Empty if the stage declares no such input, or the model is a `config:` without files. Throws
// Error(kConfig) if recipe and locations do not fit together.
FileSet model_files(const StageContext& context);
FileSet data_files(const StageContext& context);

// The same of a recipe and its locations; `member`: "model" or "data".
FileSet input_files(const Json& recipe, const Json& locations, const char* member,
                    std::shared_ptr<InputWatch> watch = nullptr);

}  // namespace assay
