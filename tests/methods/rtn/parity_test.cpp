// Round to nearest of the GPTQ release on recorded models; codes and grids are equal in bits.

#include "tests/methods/support/parity.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>

#include "harness/base/atomic_file.h"
#include "methods/rtn/rounding.h"

namespace assay::rtn {
namespace {

TEST(RtnParity, codes_scales_and_zeros_are_equal_in_bits) {
  ASSAY_NEEDS_PARITY_DATA();
  for (const std::string name : {"opt-tiny", "llama-tiny"}) {
    const models::TensorMap recorded = parity_tensors("llm/forward/rtn_" + name + ".safetensors");
    const std::string file = (parity_folder() / "llm/forward/case.json").string();
    const Json results = parse_json(read_file(file), file)["results"][name];
    for (const int bits : {2, 3, 4}) {
      const std::unique_ptr<models::Network> network = parity_language_model(name, at::kFloat);
      const quant::QuantizedModel model = round_to_nearest(*network, {.weight_bits = bits}, {});
      for (const auto& [layer, quantized] : model.layers) {
        const std::string key =
            "w" + std::to_string(bits) + "." + layer.substr(layer_prefix(name).size());
        EXPECT_TRUE(quantized.code.equal(recorded.at(key + ".codes"))) << key;
        EXPECT_TRUE(quantized.grid.scale.equal(recorded.at(key + ".scale"))) << key;
        EXPECT_TRUE(quantized.grid.zero.equal(recorded.at(key + ".zero"))) << key;
      }
      EXPECT_EQ(model.layers.size() * 9, recorded.size());
      quant::apply(model, *network);
      EXPECT_NEAR(parity_nll(*network), results["nll_rtn"][std::to_string(bits)].get<double>(),
                  1e-5);
    }
  }
}

}  // namespace
}  // namespace assay::rtn
