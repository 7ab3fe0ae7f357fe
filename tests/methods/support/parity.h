#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "harness/formats/checkpoint_layout.h"
#include "harness/models/network.h"
#include "harness/models/tensor_file.h"
#include "methods/quant/quantized_model.h"

// Recorded cases of other implementations: $ASSAY_TEST_DATA/parity, by default beside the source.

namespace assay {

inline std::filesystem::path parity_folder() {
  const char* root = std::getenv("ASSAY_TEST_DATA");
  return std::filesystem::path(root ? root : "../shared") / "parity";
}

// Skips the test where the recorded cases are not at hand.
#define ASSAY_NEEDS_PARITY_DATA()                                                 \
  if (!std::filesystem::exists(assay::parity_folder())) {                         \
    GTEST_SKIP() << assay::parity_folder() << " is missing: set ASSAY_TEST_DATA"; \
  }

inline models::TensorMap parity_tensors(const std::string& file) {
  return models::load_tensors(parity_folder() / file);
}

// "opt-tiny" or "llama-tiny", in float32 or float64.
inline std::unique_ptr<models::Network> parity_language_model(const std::string& name,
                                                              at::ScalarType type) {
  std::unique_ptr<models::Network> network =
      models::load_network(checkpoint_on_disk(parity_folder() / "llm/models" / name));
  network->to(type);
  return network;
}

// "model.decoder." of OPT or "model." of LLaMA: what parity names leave out.
inline std::string layer_prefix(const std::string& model) {
  return model.starts_with("opt") ? "model.decoder." : "model.";
}

// Mean next-token negative log-likelihood of the recorded test windows.
inline double parity_nll(const models::Network& network) {
  const at::Tensor tokens = parity_tensors("llm/models/tokens.safetensors").at("test");
  double sum = 0;
  const std::int64_t count = tokens.size(0), predicted = tokens.size(1) - 1;
  for (std::int64_t begin = 0; begin < count; begin += 8) {
    const at::Tensor rows = tokens.narrow(0, begin, 8);
    const at::Tensor logits = network.forward(rows).narrow(1, 0, predicted).to(at::kDouble);
    const at::Tensor expected = rows.narrow(1, 1, predicted).unsqueeze(-1);
    sum -= logits.log_softmax(-1).gather(-1, expected).sum().item<double>();
  }
  return sum / static_cast<double>(count * predicted);
}

inline double equal_part(const at::Tensor& a, const at::Tensor& b) {
  return a.to(at::kDouble).eq(b.to(at::kDouble)).to(at::kDouble).mean().item<double>();
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Shares of codes that are those of a record, and of scales that are to `tolerance`. `prefix`:
// layer_prefix().
struct Agreement {
  double codes = 0, scales = 0;
};

inline Agreement agreement(const quant::QuantizedModel& model, const models::TensorMap& recorded,
                           const std::string& prefix, double tolerance) {
  double equal = 0, all = 0, near = 0, rows = 0;
  for (const auto& [layer, quantized] : model.layers) {
    const std::string name = layer.substr(prefix.size());
    const at::Tensor codes = recorded.at(name + ".codes"), scale = recorded.at(name + ".scale");
    equal += equal_part(quantized.code, codes) * static_cast<double>(codes.numel());
    all += static_cast<double>(codes.numel());
    near += quantized.grid.scale.to(at::kDouble)
                .isclose(scale.to(at::kDouble), tolerance, 0)
                .sum()
                .item<double>();
    rows += static_cast<double>(scale.numel());
  }
  return {equal / all, near / rows};
}

}  // namespace assay
