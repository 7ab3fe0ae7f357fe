#include <ATen/ATen.h>

#include "datasets/sampling.h"
#include "datasets/stage_images.h"
#include "datasets/token_set.h"
#include "harness/contract/stage_parameters.h"
#include "harness/contract/stage_recipe.h"
#include "harness/models/tensor_file.h"
#include "harness/prepare/stages.h"

namespace assay::prepare {

Json sample_calibration(StageContext& context) {
  const StageParameters parameters(context);
  const datasets::TokenSet tokens =
      datasets::read_tokens(context.input("tokens") / datasets::kTokensFile);
  const at::Tensor windows = datasets::calibration_windows(
      tokens, parameters.integer("samples"), parameters.integer("context"), seed_of(context));
  models::save_tensors(context.output() / datasets::kWindowsFile,
                       {{datasets::kWindowsName, windows}});
  return {{"metrics", {{"samples", windows.size(0)}, {"context", windows.size(1)}}}};
}

Json sample_images(StageContext& context) {
  const auto images = datasets::images_of(context);
  const std::vector<std::int64_t> indices = datasets::sampled_indices(
      images->size(), StageParameters(context).integer("samples"), seed_of(context));
  const datasets::ImageBatch batch = datasets::gather(*images, indices);
  models::save_tensors(context.output() / datasets::kImagesFile,
                       {{"images", batch.images},
                        {"labels", batch.labels},
                        {"indices", at::tensor(indices, at::kLong)}});
  return {{"metrics", {{"samples", batch.labels.size(0)}}}};
}

}  // namespace assay::prepare
