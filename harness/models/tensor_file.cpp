#include "harness/models/tensor_file.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstring>
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

// What a tensor on a mapping keeps alive.
using Mapping = std::shared_ptr<const SafetensorsFile>;

void unmap(void* mapping) { delete static_cast<Mapping*>(mapping); }

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

at::Tensor mapped_tensor(const std::shared_ptr<const SafetensorsFile>& file,
                         const std::string& name) {
  const TensorEntry& entry = file->at(name);
  const auto options = at::TensorOptions().dtype(scalar_type_of(entry.dtype));
  if (entry.bytes.empty()) return at::empty(entry.shape, options);
  const auto address = reinterpret_cast<std::uintptr_t>(entry.bytes.data());
  if (address % element_size(entry.dtype) != 0) {
    const at::Tensor copy = at::empty(entry.shape, options);
    std::memcpy(copy.mutable_data_ptr(), entry.bytes.data(), entry.bytes.size());
    return copy;
  }
  return at::for_blob(const_cast<std::byte*>(entry.bytes.data()), entry.shape)
      .context(new Mapping(file), unmap)
      .options(options)
      .make_tensor();
}

at::Tensor tensor_of(const std::shared_ptr<const SafetensorsFile>& file, const std::string& name) {
  at::Tensor view = mapped_tensor(file, name);
  return is_aligned(view) ? view : view.clone();
}

bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % kAlignment == 0;
}

void drop_pages(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_contiguous() || !tensor.has_storage() ||
      tensor.storage().data_ptr().get_deleter() != &unmap) {
    return;
  }
  // Whole pages only: at its ends lie neighbours that may have been changed in place.
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t last = (begin + tensor.nbytes()) / page * page;
  if (first < last) {
    // Pages that stay cost memory, not correctness.
    [[maybe_unused]] const int result =
        ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }
}

TensorMap load_tensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const SafetensorsFile>(path);
  TensorMap tensors;
  for (const auto& item : file->tensors()) tensors.emplace(item.first, tensor_of(file, item.first));
  return tensors;
}

void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata,
                  void (*written)(const at::Tensor&)) {
  std::map<std::string, TensorSource> sources;
  std::vector<at::Tensor> held;  // contiguous copies live until the file is written
  for (const auto& [name, tensor] : tensors) {
    held.push_back(tensor.detach().to(at::kCPU).contiguous());
    const at::Tensor& value = held.back();
    TensorSource source{dtype_name(value.scalar_type()),
                        value.sizes().vec(),
                        {static_cast<const std::byte*>(value.const_data_ptr()),
                         static_cast<std::size_t>(value.nbytes())}};
    if (written != nullptr) source.written = [value, written] { written(value); };
    sources.emplace(name, std::move(source));
  }
  write_safetensors(path, sources, metadata);
}

}  // namespace assay::models
