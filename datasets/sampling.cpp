#include "datasets/sampling.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include "datasets/python_random.h"
#include "harness/base/error.h"
#include "harness/formats/philox.h"

namespace assay::datasets {

at::Tensor calibration_windows(const TokenSet& tokens, std::int64_t samples, std::int64_t context,
                               std::uint64_t seed) {
  if (samples < 1 || context < 1) {
    throw Error(ErrorKind::kConfig, fmt::format("{} calibration windows of {} tokens; both must be "
                                                "at least 1",
                                                samples, context));
  }
  if (tokens.size() < context) {
    throw Error(ErrorKind::kConfig, fmt::format("calibration windows of {} tokens cannot be drawn: "
                                                "the text has {} tokens",
                                                context, tokens.size()));
  }
  PythonRandom random(static_cast<std::int64_t>(seed));
  std::vector<at::Tensor> windows;
  for (std::int64_t i = 0; i < samples; ++i) {
    const std::int64_t start =
        tokens.size() > context ? random.randint(0, tokens.size() - context - 1) : 0;
    windows.push_back(tokens.ids.narrow(0, start, context));
  }
  return at::stack(windows);  // [samples, context]
}

void require_samples(std::int64_t available, std::int64_t count) {
  if (count >= 1 && count <= available) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("samples: {}, but the split that calibration images are drawn from has "
                          "{}; legal: 1 to {}",
                          count, available, available),
              {{"field", "samples"}, {"value", std::to_string(count)}});
}

std::vector<std::int64_t> sampled_indices(std::int64_t available, std::int64_t count,
                                          std::uint64_t seed) {
  require_samples(available, count);
  std::vector<std::int64_t> indices = Philox(seed, "sample_images").permutation(available);
  indices.resize(static_cast<std::size_t>(count));
  return indices;
}

ImageBatch gather(const ImageSet& images, const std::vector<std::int64_t>& indices) {
  std::vector<at::Tensor> pixels;
  std::vector<at::Tensor> labels;
  for (const std::int64_t index : indices) {
    ImageBatch one = images.read(index, index + 1);
    if (!pixels.empty() && one.images.sizes() != pixels.front().sizes()) {
      throw Error(ErrorKind::kData,
                  fmt::format("images of unequal sizes: {} has {} x {} pixels, {} has {} x {}; name "
                              "a 'preprocess' that gives one size",
                              images.name(indices.front()), pixels.front().size(3),
                              pixels.front().size(2), images.name(index), one.images.size(3),
                              one.images.size(2)));
    }
    pixels.push_back(std::move(one.images));
    labels.push_back(std::move(one.labels));
  }
  return {at::cat(pixels), at::cat(labels)};
}

}  // namespace assay::datasets
