#include "harness/models/tensor_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "harness/base/error.h"

namespace assay::models {
namespace {

constexpr std::uintptr_t kAlignment = 64;

constexpr std::array<std::pair<const char*, at::ScalarType>, 13> kTypes{{
    {"F32", at::kFloat},
    {"F64", at::kDouble},
    {"F16", at::kHalf},
    {"BF16", at::kBFloat16},
    {"I64", at::kLong},
    {"I32", at::kInt},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"U16", at::kUInt16},
    {"U32", at::kUInt32},
    {"U64", at::kUInt64},
    {"BOOL", at::kBool},
}};

}  // namespace

at::ScalarType scalar_type_of(const std::string& dtype) {
  for (const auto& [name, type] : kTypes)
    if (dtype == name) return type;
  throw Error(ErrorKind::kUnsupported, fmt::format("dtype '{}' is not supported", dtype));
}

std::string dtype_name(at::ScalarType type) {
  for (const auto& [name, known] : kTypes)
    if (type == known) return name;
  throw Error(ErrorKind::kUnsupported,
              fmt::format("tensors of type {} are not stored in files", at::toString(type)));
}

at::Tensor tensor_of(const std::shared_ptr<const SafetensorsFile>& file, const std::string& name) {
  const TensorEntry& entry = file->at(name);
  const auto options = at::TensorOptions().dtype(scalar_type_of(entry.dtype));
  if (entry.bytes.empty()) return at::empty(entry.shape, options);
  auto* data = const_cast<std::byte*>(entry.bytes.data());
  const at::Tensor view = at::from_blob(
      data, entry.shape, [file](void*) {}, options);
  return reinterpret_cast<std::uintptr_t>(data) % kAlignment == 0 ? view : view.clone();
}

TensorMap load_tensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  TensorMap tensors;
  for (const auto& item : file->tensors()) tensors.emplace(item.first, tensor_of(file, item.first));
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata) {
  std::map<std::string, TensorSource> sources;
  std::vector<at::Tensor> held;  // contiguous copies live until the file is written
  for (const auto& [name, tensor] : tensors) {
    held.push_back(tensor.detach().to(at::kCPU).contiguous());
    const at::Tensor& value = held.back();
    sources.emplace(name, TensorSource{dtype_name(value.scalar_type()),
                                       value.sizes().vec(),
                                       {static_cast<const std::byte*>(value.const_data_ptr()),
                                        static_cast<std::size_t>(value.nbytes())}});
  }
  write_safetensors(path, sources, metadata);
}

}  // namespace assay::models
