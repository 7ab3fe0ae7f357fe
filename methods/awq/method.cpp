#include "methods/awq/method.h"

#include <fmt/format.h>

#include "harness/base/error.h"
#include "methods/awq/options.h"
#include "methods/awq/unit_quantizer.h"
#include "methods/weights_only.h"

namespace assay::awq {
namespace {

constexpr std::int64_t kSmallestGroup = 4;

// Of awq.quantize.
struct QuantizeOptions {
  Options search;
  int activation_bits = kFloatBits;

  void visit(OptionVisitor& option) {
    visit_group(option, search.group);
    option(search.scale, {.name = "scale", .doc = "Channel scales are searched."});
    option(search.ratios,
           {.name = "ratios",
            .unit = "candidates",
            .minimum = 1,
            .maximum = 1000,
            .doc = "Scales are tried that are the activations' size to the power of i / ratios.",
            .when = "scale=true"});
    option(search.clip, {.name = "clip", .doc = "Clipping limits of weights are searched."});
    option(search.clip_steps, {.name = "clip_steps",
                               .unit = "candidates",
                               .minimum = 1,
                               .maximum = 1000,
                               .doc = "Limits that are tried, from the largest weight down.",
                               .when = "clip=true"});
    option(search.clip_min,
           {.name = "clip_min",
            .minimum = 0,
            .maximum = 1,
            .doc = "Share of the largest weight that the limits go down to, itself not tried.",
            .when = "clip=true"});
    option.bits(search.bits, "w_bits");
    option.bits(activation_bits, "a_bits");
  }

  void settle() {
    require_group(search.group);
    if (search.group > 0 && search.group < kSmallestGroup) {
      throw Error(
          ErrorKind::kUnsupported,
          fmt::format("group = {}: the weights of so small a group often lie on one side of "
                      "0, where a zero point that is a code cannot follow them; take {} or "
                      "more, or -1 for one grid a row",
                      search.group, kSmallestGroup),
          {{"parameter", "group"}, {"value", fmt::format("{}", search.group)}});
    }
    if (search.bits == 1) {
      throw Error(ErrorKind::kUnsupported,
                  "w_bits = 1: a zero point that is a code leaves one level besides 0, so nothing "
                  "is left of the weights on the other side of it; take 2 bits or more",
                  {{"parameter", "w_bits"}, {"value", "1"}});
    }
  }

  WeightsOnly asked() const {
    return {.method = "awq",
            .weight_bits = search.bits,
            .activation_bits = activation_bits,
            .scales_channels = true,
            .scales_values = search.scale,
            .sequential = {.propagate = quant::Propagation::kFloat}};
  }

  quant::BlockQuantizer quantizer(models::Network& network, StageContext&) const {
    return unit_quantizer(network, search);
  }
};

}  // namespace
}  // namespace assay::awq

namespace assay {

Method awq_method() {
  using namespace awq;
  MethodStage stage = weights_only_stage<QuantizeOptions>(2);
  stage.rounds = rounds_weights_first;
  return weights_only_method<QuantizeOptions>(
      {.name = "awq",
       .title = "AWQ: activation-aware channel scales and clipping of weights",
       .paper = "Lin et al., MLSys 2024, arXiv 2306.00978",
       .families = {"opt", "llama"},
       .switches = {"scale", "clip"}},
      std::move(stage), canary);
}

}  // namespace assay
