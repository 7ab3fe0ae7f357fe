#include "datasets/stage_images.h"

#include <fmt/format.h>

#include "harness/base/digest.h"
#include "harness/contract/stage_classes.h"
#include "harness/contract/stage_files.h"
#include "harness/contract/stage_recipe.h"

namespace assay::datasets {

std::shared_ptr<const ImageSet> images_of(StageContext& context) {
  const Json& data = data_of(context);
  // The recipe holds the digests of the files, so the key names their content.
  const std::string key = fmt::format("images {}", sha256(canonical_json(data)));
  return std::static_pointer_cast<const ImageSet>(
      context.resident(key, [&]() -> std::shared_ptr<void> {
        return open_images(data, data_files(context), class_names_of(context));
      }));
}

}  // namespace assay::datasets
