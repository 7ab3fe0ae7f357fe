#include "harness/evaluate/classification.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <limits>
#include <vector>

#include "harness/base/error.h"
#include "harness/evaluate/fit.h"
#include "harness/evaluate/network_traits.h"

namespace assay::evaluate {
namespace {

constexpr std::int64_t kTop = 5;

at::Tensor joined(const std::vector<at::Tensor>& parts, at::ScalarType type) {
  return parts.empty() ? at::empty({0}, type) : at::cat(parts);
}

void check_fit(const models::NetworkInfo& info, const datasets::ImageSet& images,
               const datasets::ImageBatch& batch) {
  require_classes(info, images.classes());
  require_image_shape(info, batch.images.sizes().slice(1).vec());
}

}  // namespace

ClassificationRecords records_of(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor values = logits.to(at::kDouble);  // exact
  const at::Tensor column = labels.unsqueeze(1);     // [n, 1]
  const at::Tensor own = values.gather(1, column);   // [n, 1]
  const at::Tensor classes = at::arange(values.size(1), labels.options()).unsqueeze(0);
  // Classes before the label in order of falling logit, equal ones by number.
  const at::Tensor rank = ((values > own) | ((values == own) & (classes < column))).sum(1);  // [n]
  const at::Tensor others =
      values.masked_fill(classes == column, -std::numeric_limits<double>::infinity());
  return {.correct = (rank == 0).to(at::kByte),
          .top5 = (rank < kTop).to(at::kByte),
          .margin = (own.squeeze(1) - others.amax(1)).to(at::kFloat),
          .nll = -at::log_softmax(values, 1).gather(1, column).squeeze(1)};
}

ClassificationRecords classify(const models::Network& network, models::Tap& tap,
                               const datasets::ImageSet& images, const datasets::ChunkPlan& plan,
                               const Progress& progress) {
  const c10::InferenceMode inference;
  const models::NetworkInfo& info = network.info();
  const NetworkTraits traits = traits_of(network);
  std::vector<at::Tensor> correct;
  std::vector<at::Tensor> top5;
  std::vector<at::Tensor> margin;
  std::vector<at::Tensor> nll;
  const datasets::Range chunks = datasets::chunks_of(plan);
  const datasets::Range mine = datasets::samples_of(plan);
  for (std::int64_t chunk = chunks.begin; chunk < chunks.end; ++chunk) {
    const datasets::Range range = datasets::samples_of(plan, chunk);
    const datasets::ImageBatch batch = images.read(range.begin, range.end);
    check_fit(info, images, batch);
    const at::Tensor input =
        datasets::normalise(batch.images, info.mean, info.std).to(traits.device, traits.dtype);
    const at::Tensor logits = network.forward(input, tap).to(at::kCPU);
    const at::Tensor bad = at::isfinite(logits).all(1).logical_not().nonzero();
    if (bad.numel() > 0) {
      throw Error(ErrorKind::kMethod,
                  fmt::format("the network's logits of sample {} are not finite",
                              range.begin + bad[0].item<std::int64_t>()));
    }
    const ClassificationRecords records = records_of(logits, batch.labels);
    correct.push_back(records.correct);
    top5.push_back(records.top5);
    margin.push_back(records.margin);
    nll.push_back(records.nll);
    if (progress) {
      progress(range.end - mine.begin, mine.size());
    }
  }
  return {joined(correct, at::kByte), joined(top5, at::kByte), joined(margin, at::kFloat),
          joined(nll, at::kDouble)};
}

ClassificationMetrics summarise(const ClassificationRecords& records) {
  const std::int64_t samples = records.correct.numel();
  if (samples == 0) {
    throw Error(ErrorKind::kData, "an accuracy of no sample is not defined");
  }
  const auto count = static_cast<double>(samples);
  const auto share = [&](const at::Tensor& flags) {
    return 100.0 * static_cast<double>(flags.sum().item<std::int64_t>()) / count;
  };
  double nll = 0;
  const at::Tensor values = records.nll.contiguous();
  for (std::int64_t i = 0; i < samples; ++i) {
    nll += values.const_data_ptr<double>()[i];
  }
  return {samples, share(records.correct), share(records.top5), nll / count};
}

}  // namespace assay::evaluate
