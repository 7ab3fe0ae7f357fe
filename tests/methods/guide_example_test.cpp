// The method of docs/guides/add_a_method.md.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "harness/formats/checkpoint_layout.h"
#include "methods/method.h"
#include "methods/quant/canary.h"
#include "tests/methods/support/parity.h"
#include "tests/support/fake_context.h"

namespace assay {

Method shrink_method();

namespace {

TEST(GuideExample, declares_its_options_and_scales_the_layers_that_they_select) {
  const Method method = shrink_method();
  ASSERT_EQ(method.declaration.parameters.size(), 2U);
  EXPECT_EQ(method.declaration.parameters[0].default_value, 0.5);
  EXPECT_EQ(method.declaration.parameters[1].choices, (std::vector<std::string>{"all", "head"}));
  EXPECT_EQ(method.stages[0].declaration.reads, (std::vector<std::string>{"factor", "layers"}));
  FakeContext context(
      checked_parameters(method.declaration.parameters, {{"layers", "head"}}, "shrink"));
  const auto load = [](StageContext&) {
    return quant::MethodNetwork(quant::canary_network("vit"));
  };
  const Json result = body_of(implementations(method, load), "shrink.scale")(context);
  EXPECT_EQ(result["metrics"]["scaled_layers"], 1);
  const auto before = quant::canary_network("vit");
  const auto after = models::load_network(checkpoint_on_disk(context.output()));
  for (const models::Layer& layer : before->layers()) {
    const at::Tensor& weight = before->parameters().at(layer.name + ".weight");
    const double factor = layer.unit == before->unit_count() ? 0.5 : 1;
    EXPECT_TRUE(after->parameters().at(layer.name + ".weight").equal(weight * factor))
        << layer.name;
  }
}

}  // namespace
}  // namespace assay
