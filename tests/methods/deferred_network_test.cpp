// Methods on a network whose weights are deferred: the bytes of their artifacts, and what these
// make of a network, are those of one that was converted as a whole.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>

#include "harness/base/atomic_file.h"
#include "harness/formats/checkpoint_layout.h"
#include "harness/models/tensor_file.h"
#include "methods/method.h"
#include "methods/quant/block_walk.h"
#include "methods/quant/canary.h"
#include "methods/quant/finished_layers.h"
#include "methods/quant/grid_search.h"
#include "methods/quant/quantized_model.h"
#include "tests/methods/support/method_parameters.h"
#include "tests/support/fake_context.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

Method method_named(const std::string& name) {
  const std::vector<Method> all = built_in_methods();
  return *std::find_if(all.begin(), all.end(),
                       [&](const Method& each) { return each.declaration.name == name; });
}

class DeferredNetwork : public ::testing::Test {
 protected:
  DeferredNetwork() {
    models::limit_kept_weights(0);
    const auto network = quant::canary_network("opt");
    models::save_tensors(tokens_ / "tokens.safetensors",
                         {{"tokens", quant::canary_inputs(*network, 11).to(at::kInt)}});
    network->to(at::kBFloat16);
    models::save_network(*network, checkpoint_.path());
  }
  ~DeferredNetwork() override { models::limit_kept_weights(models::kDefaultKeptWeights); }

  std::unique_ptr<models::Network> deferred() const {
    auto network = models::load_network(checkpoint_on_disk(checkpoint_.path()));
    network->to(at::kFloat);
    return network;
  }

  static std::unique_ptr<models::Network> whole() {
    auto network = quant::canary_network("opt");
    network->to(at::kBFloat16);
    network->to(at::kFloat);
    return network;
  }

  // Runs the stages of a method, each with what those before it made; the artifact of the last.
  std::filesystem::path run(const Method& method, const Json& parameters,
                            const quant::ModelLoader& loader,
                            const std::filesystem::path& folder) const {
    std::map<std::string, std::filesystem::path> made;
    for (const StageImplementation& stage : implementations(method, loader)) {
      if (stage.declaration.name == method.declaration.name + ".canary") continue;
      FakeContext context(parameters);
      context.folder = folder / stage.declaration.name;
      for (const InputDeclaration& input : stage.declaration.inputs) {
        const auto found = made.find(input.stage);
        context.inputs[input.name] = found == made.end() ? tokens_.path() : found->second;
      }
      stage.body(context);
      made[stage.declaration.name] = context.folder;
    }
    return made.at(method.declaration.network);
  }

  void expect_same_artifact(const std::string& name, const Json& given, int bits) const {
    const Method method = method_named(name);
    const Json parameters = parameters_of(method.declaration, given, bits, 16);
    const TemporaryFolder one, other;
    const auto from_whole = run(
        method, parameters, [](StageContext&) { return whole(); }, one.path());
    const auto from_deferred = run(
        method, parameters, [&](StageContext&) { return deferred(); }, other.path());
    for (const auto& entry : std::filesystem::directory_iterator(from_whole)) {
      const auto file = entry.path().filename();
      EXPECT_TRUE(read_file(entry.path()) == read_file(from_deferred / file)) << name << file;
    }
    expect_same_network(from_whole, name);
  }

  void expect_same_network(const std::filesystem::path& artifact, const std::string& name) const {
    const auto a = whole(), b = deferred();
    const auto tap = quant::apply_quantized(*a, artifact);
    quant::apply_quantized(*b, artifact);
    const at::Tensor tokens = quant::canary_inputs(*a, 3);
    EXPECT_TRUE(a->forward(tokens, *tap).equal(b->forward(tokens, *tap))) << name;
    for (const models::Layer& layer : b->layers()) {
      EXPECT_TRUE(b->parameters().shape(layer.name + ".weight").is_meta()) << name;
    }
    b->to(at::kDouble);
    a->to(at::kDouble);
    EXPECT_TRUE(a->forward(tokens, *tap).equal(b->forward(tokens, *tap))) << name;
  }

  TemporaryFolder checkpoint_, tokens_;
};

TEST_F(DeferredNetwork, methods_make_the_same_bytes) {
  expect_same_artifact("rtn", {{"granularity", "group"}, {"group", 16}}, 3);
  expect_same_artifact("rtn", {{"range", "mse"}}, 3);
  expect_same_artifact("nf4", {{"double_quantization", true}}, 4);
  expect_same_artifact("gptq", {}, 3);
  expect_same_artifact("gptq", {{"group", 16}, {"act_order", true}}, 3);
  expect_same_artifact("gptq", {{"propagate", "float"}}, 3);
  expect_same_artifact("boa", {}, 3);
  expect_same_artifact("turboboa", {}, 3);
  expect_same_artifact("aespa", {{"iterations", 20}}, 3);
  expect_same_artifact("zfold", {}, 3);
  expect_same_artifact("awq", {}, 3);
  expect_same_artifact("smoothquant", {}, 8);
}

// A walk leaves the weights of each unit to its codes, whoever asks for them meanwhile.
TEST_F(DeferredNetwork, a_walk_leaves_no_weight_behind) {
  const auto expected = whole(), network = deferred();
  FakeContext context;
  const quant::BlockWalkResult result = quant::quantize_blocks(
      *network, quant::canary_inputs(*network, 11),
      [&](const std::vector<quant::LayerMoments>& layers) {
        std::map<std::string, quant::LayerResult> results;
        for (const quant::LayerMoments& each : layers) {
          const at::Tensor& weight = network->parameters().at(each.layer.name + ".weight");
          quant::LayerResult& made = results[each.layer.name];
          made.layer = quant::quantized_layer(weight, quant::find_grid(weight, {.bits = 3}));
          made.weight = quant::decode(made.layer.code, made.layer.grid);
        }
        return results;
      },
      {.method = "rtn", .checkpoints = context.resume_dir()});
  quant::apply(result.model, *expected);
  for (const models::Layer& layer : network->layers()) {
    const std::string name = layer.name + ".weight";
    EXPECT_TRUE(network->parameters().shape(name).is_meta()) << name;
    EXPECT_TRUE(network->parameters().value(name).equal(expected->parameters().at(name))) << name;
  }
}

TEST_F(DeferredNetwork, finished_layers_beyond_a_size_wait_in_files) {
  const auto network = whole();
  const TemporaryFolder folder;
  const auto scratch = folder / "scratch";
  quant::QuantizedModel in_memory{.method = "rtn"}, in_files{.method = "rtn"};
  {
    quant::FinishedLayers finished(scratch, 5000);
    for (const models::Layer& layer : network->layers()) {
      const at::Tensor weight = network->parameters().value(layer.name + ".weight");
      const auto made = quant::quantized_layer(weight, quant::find_grid(weight, {.bits = 4}));
      in_memory.layers[layer.name] = made;
      in_files.layers[layer.name] = finished.put(layer.name, made);
    }
    EXPECT_TRUE(std::filesystem::exists(scratch));
  }
  EXPECT_FALSE(std::filesystem::exists(scratch));
  const auto written = [&](const quant::QuantizedModel& model, const char* name) {
    std::filesystem::create_directories(folder / name);
    quant::save_quantized(folder / name, model);
    return read_file(folder / name / "codes.safetensors");
  };
  EXPECT_TRUE(written(in_memory, "a") == written(in_files, "b"));
}

}  // namespace
}  // namespace assay
