#include "methods/quant/stage_inputs.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "datasets/image_set.h"
#include "harness/base/error.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/chunk.h"
#include "methods/quant/grid.h"

namespace assay::quant {
namespace {

at::Tensor tensor_in(const std::filesystem::path& folder, const char* file, const char* name) {
  models::TensorMap tensors = models::load_tensors(folder / file);
  const auto found = tensors.find(name);
  if (found == tensors.end() || found->second.numel() == 0) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: tensor '{}' is missing or empty", (folder / file).string(), name));
  }
  return found->second;
}

at::Tensor images_for(const StageContext& context, const models::Network& network) {
  const std::filesystem::path folder = context.input("images");
  at::Tensor images = tensor_in(folder, "images.safetensors", "images");
  const models::NetworkInfo& info = network.info();
  if (images.scalar_type() == at::kByte) {
    images = datasets::normalise(images, info.mean, info.std);
  }
  if (images.dim() != 4 || images.sizes().slice(1) != at::IntArrayRef(info.input)) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: images are [{}], but the network takes [n, {}]", folder.string(),
                            fmt::join(images.sizes().vec(), ", "), fmt::join(info.input, ", ")));
  }
  return images.to(device_of(network), dtype_of(network)).contiguous();
}

at::Tensor tokens_for(const StageContext& context, const models::Network& network) {
  const std::filesystem::path folder = context.input("tokens");
  const at::Tensor tokens = tensor_in(folder, "tokens.safetensors", "tokens").to(at::kLong);
  const models::NetworkInfo& info = network.info();
  if (tokens.dim() != 2 || tokens.min().item<std::int64_t>() < 0 ||
      tokens.max().item<std::int64_t>() >= info.outputs) {
    throw Error(ErrorKind::kData,
                fmt::format("{}: tokens must be [samples, context] with ids below {}",
                            folder.string(), info.outputs));
  }
  if (info.context <= 0) return tokens.to(device_of(network));
  const std::int64_t taken = info.learned_positions ? network.prefix().length() : 0;
  if (tokens.size(1) > info.context + taken) {
    throw Error(ErrorKind::kData, fmt::format("{}: {} tokens a sample, but the network takes {}",
                                              folder.string(), tokens.size(1), info.context));
  }
  // Positions that a prefix takes are missing at the end of the longest windows.
  return tokens.narrow(1, 0, std::min(tokens.size(1), info.context)).to(device_of(network));
}

}  // namespace

void require_levels(const char* parameter, int bits, bool symmetric, Symmetry symmetry) {
  if (bits > 1 || !symmetric) return;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("{} = 1 with a symmetric grid: its only levels are 0 and one below, so "
                          "nothing is left of what is positive; take 2 bits or more{}",
                          parameter, symmetry == Symmetry::kFixed ? "" : ", or symmetric: false"),
              {{"parameter", parameter}, {"value", "1"}});
}

at::ScalarType dtype_of(const models::Network& network) { return network.dtype(); }

at::Device device_of(const models::Network& network) { return network.device(); }

void widen(models::Network& network) {
  const at::ScalarType type = dtype_of(network);
  if (type != at::kFloat && type != at::kDouble) network.to(at::kFloat);
}

at::Tensor calibration_inputs(const StageContext& context, const models::Network& network) {
  return network.info().task == models::Task::kClassification ? images_for(context, network)
                                                              : tokens_for(context, network);
}

std::vector<ParameterSchema> calibration_parameters(std::int64_t samples) {
  return {{.name = "samples",
           .type = ParameterType::kInteger,
           .default_value = samples,
           .unit = "samples",
           .minimum = 1,
           .maximum = 100000,
           .doc = "Calibration images or token windows."},
          {.name = "context",
           .type = ParameterType::kInteger,
           .default_value = 0,
           .unit = "tokens",
           .minimum = 0,
           .maximum = 1 << 20,
           .doc = "Length of a calibration window; 0 takes the network's own, at most 2048."}};
}

std::vector<InputDeclaration> calibration_data(const std::string& when) {
  const std::string also = when.empty() ? "" : "," + when;
  return {{.name = "images",
           .stage = "sample_images",
           .split = "train",
           .when = "task:classification" + also},
          {.name = "tokens",
           .stage = "sample_calibration",
           .split = "train",
           .when = "task:language" + also}};
}

void require_running(const StageContext& context) {
  if (!context.stop_requested()) return;
  throw Error(ErrorKind::kLost, "stopped in the middle of a pass, which will be made again");
}

std::int64_t calibration_chunk(const models::Network& network) {
  return network.info().task == models::Task::kClassification ? kImageChunk : kSequenceChunk;
}

}  // namespace assay::quant
