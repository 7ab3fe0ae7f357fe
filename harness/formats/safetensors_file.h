#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "harness/base/json.h"

// The safetensors container without LibTorch: u64 little-endian header length, JSON header {name:
// {dtype, shape, data_offsets}, "__metadata__": {string: string}}, then raw little-endian data.
// Control code reads per-sample values with it, harness/models makes tensors of it.

namespace assay {

struct TensorEntry {
  std::string dtype;  // "F32", "F64", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL"
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  // into the mapped file

  std::int64_t count() const;  // product of the shape
};

// Bytes of one element, 0 for a dtype that is not supported.
std::size_t element_size(std::string_view dtype);

// A mapped file. Immutable after opening; any thread may read it.
class SafetensorsFile {
 public:
  // Throws Error(kIo) if it cannot be opened, Error(kData) naming file and tensor if the header
  // lies: longer than the file or 100 MB, offsets outside the data, overlapping or with holes,
  // sizes that do not match shape and dtype.
  explicit SafetensorsFile(const std::filesystem::path& path);
  // The same of an open descriptor, which stays the caller's. `path` names it.
  SafetensorsFile(const std::filesystem::path& path, int descriptor);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  const std::map<std::string, TensorEntry>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Throws Error(kData) naming the file and the nearest name.
  const TensorEntry& at(const std::string& name) const;

  // The values of a tensor as doubles; dtype F32, F64, I64, I32, U8 or BOOL.
  std::vector<double> values(const std::string& name) const;

 private:
  void map(int descriptor);

  std::filesystem::path path_;
  void* mapping_ = nullptr;
  std::size_t size_ = 0;
  std::map<std::string, TensorEntry> tensors_;
  std::map<std::string, std::string> metadata_;
};

// What to write: name -> dtype, shape and bytes (borrowed until the call returns).
struct TensorSource {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  std::function<void()> written = {};  // called once the bytes are in the file; may be empty
};

// Writes atomically, tensor after tensor. Data starts are aligned to 64 bytes by padding the
// header, tensors follow in name order.
void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, TensorSource>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace assay
