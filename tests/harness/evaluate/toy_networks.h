#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "harness/models/network.h"

// Networks whose logits are a function given by the test.

namespace assay::evaluate {

class ToyNetwork : public models::Network {
 public:
  using Function = std::function<at::Tensor(const at::Tensor&)>;

  ToyNetwork(models::NetworkInfo info, Function logits)
      : info_(std::move(info)), logits_(std::move(logits)) {}
  // A network with parameters stays where it is; this one has none.
  ToyNetwork(ToyNetwork&& other) noexcept
      : info_(std::move(other.info_)), logits_(std::move(other.logits_)) {}

  const models::NetworkInfo& info() const override { return info_; }
  const Json& configuration() const override { return configuration_; }
  at::Tensor embed(const at::Tensor& input, models::Tap&) const override { return input; }
  std::int64_t unit_count() const override { return 0; }
  at::Tensor unit(std::int64_t, const at::Tensor& hidden, models::Tap&) const override {
    return hidden;
  }
  at::Tensor head(const at::Tensor& hidden, models::Tap&) const override { return logits_(hidden); }
  std::vector<models::Layer> layers() const override { return {}; }
  std::vector<std::string> sites() const override { return {}; }

 private:
  models::NetworkInfo info_;
  Function logits_;
  Json configuration_ = Json::object();
};

// A language model that gives every id the same probability.
inline ToyNetwork uniform_language(std::int64_t vocabulary, std::int64_t context = 0) {
  models::NetworkInfo info;
  info.task = models::Task::kLanguage;
  info.outputs = vocabulary;
  info.context = context;
  return {info, [vocabulary](const at::Tensor& ids) {
            return at::zeros({ids.size(0), ids.size(1), vocabulary});
          }};
}

// A language model whose logits are waves over the vocabulary, of a length that the id gives.
inline ToyNetwork rippling_language(std::int64_t vocabulary, std::int64_t context = 0) {
  ToyNetwork uniform = uniform_language(vocabulary, context);
  return {uniform.info(), [vocabulary](const at::Tensor& ids) {
            const at::Tensor values = at::arange(1, vocabulary + 1).to(at::kFloat);
            return ids.to(at::kFloat).add(1).unsqueeze(-1).mul(values).mul(0.01).sin();
          }};
}

// A classifier of 1 x 4 x 4 images that mixes their pixels by a fixed matrix.
inline ToyNetwork mixing_classifier(std::int64_t classes) {
  models::NetworkInfo info;
  info.task = models::Task::kClassification;
  info.outputs = classes;
  info.input = {1, 4, 4};
  info.mean = {0.5};
  info.std = {0.25};
  const at::Tensor weight =
      at::arange(16 * classes).mul(1.7).sin().view({classes, 16}).to(at::kFloat);
  return {info, [weight](const at::Tensor& x) { return at::linear(x.flatten(1), weight); }};
}

}  // namespace assay::evaluate
