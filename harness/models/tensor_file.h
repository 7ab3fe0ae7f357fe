#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "harness/formats/safetensors_file.h"

// Tensors to and from safetensors files. Reading maps the file: a tensor whose data are aligned to
// 64 bytes is a view of the mapping, kept alive by the tensor itself, others are copied (kernels
// give other bits for misaligned rows). The mapping is private: a loaded tensor may be changed in
// place, the file never changes.

namespace assay::models {

using TensorMap = std::map<std::string, at::Tensor>;

// The ATen type of a safetensors dtype and back; throws Error(kUnsupported) for one that neither
// knows.
at::ScalarType scalar_type_of(const std::string& dtype);
std::string dtype_name(at::ScalarType type);

// One tensor of an open file, sharing its mapping where alignment allows. Ask for each tensor once:
// two tensors on the same pages see each other's changes.
at::Tensor tensor_of(const std::shared_ptr<const SafetensorsFile>& file, const std::string& name);

// The same as it lies in the file wherever its elements are aligned: for operations element by
// element, whose bits do not depend on where a row begins.
at::Tensor mapped_tensor(const std::shared_ptr<const SafetensorsFile>& file,
                         const std::string& name);

// Whether its data begin at a multiple of 64 bytes, as those of LibTorch's own tensors do.
bool is_aligned(const at::Tensor& tensor);

// Takes the pages of a contiguous tensor that views a mapping out of this process; they are read
// again when somebody asks for its values. Changes that were made in place are lost. Other tensors
// stay as they are.
void drop_pages(const at::Tensor& tensor);

// Every tensor of a file, by tensor_of().
TensorMap load_tensors(const std::filesystem::path& path);

// Writes atomically; tensors are made contiguous and moved to the CPU. Bits and dtypes are kept.
// `written`, if any, is called with each tensor once it is in the file.
void save_tensors(const std::filesystem::path& path, const TensorMap& tensors,
                  const std::map<std::string, std::string>& metadata = {},
                  void (*written)(const at::Tensor&) = nullptr);

}  // namespace assay::models
