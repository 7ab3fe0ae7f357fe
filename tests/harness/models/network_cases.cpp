#include "tests/harness/models/network_cases.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace assay::models {
namespace {

bool ends_with_part(const std::string& name, const std::string& part) {
  const std::size_t dot = name.rfind('.');
  return (dot == std::string::npos ? name : name.substr(dot + 1)) == part;
}

at::Tensor filled(const std::string& name, const std::vector<std::int64_t>& shape) {
  const at::Tensor t = hash_values(name, shape);
  if (ends_with_part(name, "running_mean")) return 0.1 * t;
  if (ends_with_part(name, "running_var")) return 0.5 + (t + 1) / 2;
  if (ends_with_part(name, "weight")) {
    if (shape.size() < 2) return 1 + 0.2 * t;
    const double fan_in = static_cast<double>(t.numel()) / static_cast<double>(shape[0]);
    return t * std::sqrt(6.0 / fan_in);
  }
  if (ends_with_part(name, "bias")) return 0.1 * t;
  const std::size_t dot = name.rfind('.');
  const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
  if (last.starts_with("gamma")) return 0.5 + 0.1 * t;
  return 0.5 * t;
}

}  // namespace

at::Tensor hash_values(const std::string& name, const std::vector<std::int64_t>& shape) {
  std::uint32_t c = 0;
  for (const char byte : name) c += static_cast<unsigned char>(byte);
  at::Tensor t = at::empty(shape, at::kDouble);
  double* data = t.data_ptr<double>();
  for (std::int64_t j = 0; j < t.numel(); ++j) {
    std::uint32_t g = 2654435761U * static_cast<std::uint32_t>(j) + 40503U * c;
    g ^= g >> 16;
    g *= 0x45d9f3bU;
    g ^= g >> 16;
    g *= 0x45d9f3bU;
    g ^= g >> 16;
    data[j] = 2.0 * (g * 0x1p-32) - 1.0;
  }
  return t;
}

void hash_fill(Network& network, at::ScalarType dtype) {
  network.to(dtype);
  const Network& filling = network;
  for (const ParameterTable* table : {&filling.parameters(), &filling.buffers()})
    for (const auto& [name, slot] : table->slots()) slot->copy_(filled(name, slot->sizes().vec()));
}

at::Tensor hash_images(const std::vector<std::int64_t>& shape, at::ScalarType dtype) {
  return (2 * hash_values("input", shape)).to(dtype);
}

at::Tensor Recorder::operator()(std::string_view site, const at::Tensor& value) {
  order.emplace_back(site);
  values[std::string(site)] = value.clone();
  return value;
}

void expect_sites(const Network& network, const Recorder& recorder) {
  EXPECT_EQ(recorder.order.size(), recorder.values.size()) << "a site fires twice";
  for (const Layer& layer : network.layers()) {
    EXPECT_TRUE(network.parameters().contains(layer.name + ".weight")) << layer.name;
    EXPECT_TRUE(recorder.values.contains(layer.input_site)) << layer.name;
    EXPECT_TRUE(recorder.values.contains(layer.output_site)) << layer.name;
  }
  auto from = recorder.order.begin();
  for (const std::string& site : network.sites()) {
    from = std::find(from, recorder.order.end(), site);
    ASSERT_NE(from, recorder.order.end()) << site << " does not fire, or not in this order";
  }
}

std::string input_site_of(const Network& network, std::int64_t unit) {
  for (const Layer& layer : network.layers())
    if (layer.unit == unit) return layer.input_site;
  ADD_FAILURE() << "unit " << unit << " has no layer";
  return "";
}

}  // namespace assay::models
