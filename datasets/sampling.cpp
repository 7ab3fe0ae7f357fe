#include "datasets/sampling.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "datasets/python_random.h"
#include "harness/core/error.h"
#include "harness/core/philox.h"
#include "harness/core/safetensors_file.h"
#include "harness/core/suggest.h"

namespace assay::datasets {
namespace {

const std::vector<std::string> kRules = {"stream", "documents"};
const std::vector<std::string> kGenerators = {"python", "philox"};

// randint(a, b), both ends included.
using Randint = std::function<std::int64_t(std::int64_t, std::int64_t)>;

Randint generator_named(const std::string& name, std::uint64_t seed) {
  if (name == "python") {
    return [random = PythonRandom(static_cast<std::int64_t>(seed))](
               std::int64_t a, std::int64_t b) mutable { return random.randint(a, b); };
  }
  if (name == "philox") {
    return [random = Philox(seed, "calibration_windows")](std::int64_t a, std::int64_t b) mutable {
      return a + static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(b - a + 1)));
    };
  }
  throw Error(ErrorKind::kConfig,
              fmt::format("unknown generator '{}'{}", name, suggestion(name, kGenerators)));
}

// A tensor of one dtype from a safetensors file, copied.
at::Tensor tensor_at(const SafetensorsFile& file, const std::string& name, const char* dtype,
                     at::ScalarType type, std::size_t dimensions) {
  const TensorEntry& entry = file.at(name);
  if (entry.dtype != dtype || entry.shape.size() != dimensions) {
    throw Error(ErrorKind::kData, fmt::format("{}: {} is not {} with {} dimensions",
                                              file.path().string(), name, dtype, dimensions));
  }
  at::Tensor tensor = at::empty(entry.shape, type);
  if (!entry.bytes.empty()) {
    std::memcpy(tensor.data_ptr(), entry.bytes.data(), entry.bytes.size());
  }
  return tensor;
}

}  // namespace

at::Tensor calibration_windows(const TokenSet& tokens, const WindowSampling& sampling,
                               std::uint64_t seed) {
  const std::int64_t context = sampling.context;
  if (sampling.samples < 1 || context < 1) {
    throw Error(ErrorKind::kConfig, fmt::format("{} calibration windows of {} tokens; both must be "
                                                "at least 1",
                                                sampling.samples, context));
  }
  if (std::find(kRules.begin(), kRules.end(), sampling.rule) == kRules.end()) {
    throw Error(ErrorKind::kConfig, fmt::format("unknown sampling rule '{}'{}", sampling.rule,
                                                suggestion(sampling.rule, kRules)));
  }
  Randint randint = generator_named(sampling.generator, seed);
  const bool by_document = sampling.rule == "documents";
  std::int64_t longest = by_document ? 0 : tokens.size();
  for (std::size_t d = 1; by_document && d < tokens.starts.size(); ++d) {
    longest = std::max(longest, tokens.starts[d] - tokens.starts[d - 1]);
  }
  if (longest < context) {
    throw Error(
        ErrorKind::kConfig,
        fmt::format("calibration windows of {} tokens cannot be drawn: the {} has {} tokens",
                    context, by_document ? "longest document" : "text", longest));
  }
  std::vector<at::Tensor> windows;
  for (std::int64_t i = 0; i < sampling.samples; ++i) {
    std::int64_t begin = 0;
    std::int64_t length = tokens.size();
    while (by_document) {
      const auto d = static_cast<std::size_t>(randint(0, tokens.documents() - 1));
      begin = tokens.starts[d];
      length = tokens.starts[d + 1] - begin;
      if (length >= context) {
        break;
      }
    }
    const std::int64_t start = length > context ? randint(0, length - context - 1) : 0;
    windows.push_back(tokens.ids.narrow(0, begin + start, context));
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

at::Tensor read_calibration_windows(const std::filesystem::path& artifact) {
  const SafetensorsFile file(artifact / kWindowsFile);
  return tensor_at(file, kWindowsName, "I32", at::kInt, 2).to(at::kLong);
}

ImageBatch read_sampled_images(const std::filesystem::path& artifact) {
  const SafetensorsFile file(artifact / kImagesFile);
  return {tensor_at(file, "images", "U8", at::kByte, 4),
          tensor_at(file, "labels", "I64", at::kLong, 1)};
}

}  // namespace assay::datasets
