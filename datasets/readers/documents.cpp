#include "datasets/readers/documents.h"

namespace assay::datasets {

std::vector<ParameterSchema> document_parameters() {
  return {{.name = "strip",
           .type = ParameterType::kBool,
           .default_value = false,
           .doc = "Removes white space at both ends of each document."},
          {.name = "max_characters",
           .type = ParameterType::kInteger,
           .default_value = 0,
           .unit = "characters",
           .minimum = 0,
           .doc = "Keeps the first characters of each document; 0 keeps all."}};
}

}  // namespace assay::datasets
