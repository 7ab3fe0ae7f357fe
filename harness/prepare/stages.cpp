#include "harness/prepare/stages.h"

namespace assay::prepare {

std::vector<StageImplementation> stages() {
  return {{{.name = "tokenize",
            .revision = 4,
            .reads_tokenizer = true,
            .reads_data = true,
            .exact = true},
           tokenize},
          {{.name = "sample_calibration",
            .reads = {"samples", "context"},
            .inputs = {{.name = "tokens", .stage = "tokenize", .split = ""}},
            .random = "calibration_seed",
            .exact = true},
           sample_calibration},
          {{.name = "sample_images",
            .revision = 2,
            .reads = {"samples"},
            .reads_data = true,
            .random = "calibration_seed",
            .exact = true},
           sample_images}};
}

}  // namespace assay::prepare
