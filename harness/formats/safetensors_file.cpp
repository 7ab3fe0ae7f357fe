#include "harness/formats/safetensors_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::size_t kAlignment = 64;

struct Range {
  std::uint64_t begin;
  std::uint64_t end;
  std::string name;
};

class Opener {
 public:
  explicit Opener(const std::filesystem::path& path) : path_(path) {}

  [[noreturn]] void refuse(const std::string& problem) const {
    throw Error(ErrorKind::kData,
                fmt::format("{}: not a valid safetensors file: {}; copy or convert it again",
                            path_.string(), problem),
                {{"file", path_.string()}});
  }

  // Shape and offsets of one header entry, checked against the size of the data area.
  Range read_entry(const std::string& name, const Json& json, std::uint64_t data_bytes,
                   TensorEntry& entry) const {
    if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") ||
        !json.contains("data_offsets") || !json["dtype"].is_string() || !json["shape"].is_array() ||
        !json["data_offsets"].is_array() || json["data_offsets"].size() != 2) {
      refuse(fmt::format("tensor '{}' lacks dtype, shape or data_offsets", name));
    }
    entry.dtype = json["dtype"].get<std::string>();
    const std::size_t width = element_size(entry.dtype);
    if (width == 0)
      throw Error(ErrorKind::kUnsupported,
                  fmt::format("{}: tensor '{}' has dtype '{}', which is not read; legal: F64, F32, "
                              "F16, BF16, I64, I32, I16, I8, U64, U32, U16, U8, BOOL; convert it",
                              path_.string(), name, entry.dtype.substr(0, 100)),
                  {{"file", path_.string()}});
    std::uint64_t bytes = width;
    for (const Json& extent : json["shape"]) {
      if (!extent.is_number_unsigned())
        refuse(fmt::format("tensor '{}' has the extent {}; an integer from 0 on is wanted", name,
                           extent.dump().substr(0, 100)));
      const auto n = extent.get<std::uint64_t>();
      if (n > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) ||
          (n != 0 && bytes > std::numeric_limits<std::uint64_t>::max() / n)) {
        refuse(fmt::format("tensor '{}' has an impossible shape {}", name, json["shape"].dump()));
      }
      bytes *= n;
      entry.shape.push_back(static_cast<std::int64_t>(n));
    }
    const Json& offsets = json["data_offsets"];
    if (!offsets[0].is_number_unsigned() || !offsets[1].is_number_unsigned())
      refuse(fmt::format("tensor '{}' has malformed data_offsets", name));
    const Range range{offsets[0].get<std::uint64_t>(), offsets[1].get<std::uint64_t>(), name};
    if (range.begin > range.end || range.end > data_bytes) {
      refuse(fmt::format("tensor '{}' lies at bytes {} to {} of {}: truncated file?", name,
                         range.begin, range.end, data_bytes));
    }
    if (range.end - range.begin != bytes) {
      refuse(fmt::format("tensor '{}' of shape {} and dtype {} needs {} bytes, not {}", name,
                         json["shape"].dump(), entry.dtype, bytes, range.end - range.begin));
    }
    return range;
  }

  void check_cover(std::vector<Range> ranges, std::uint64_t data_bytes) const {
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
    std::uint64_t at = 0;
    for (const Range& range : ranges) {
      if (range.begin != at)
        refuse(fmt::format("tensor '{}' starts at byte {} where {} was expected: holes or overlaps",
                           range.name, range.begin, at));
      at = range.end;
    }
    if (at != data_bytes)
      refuse(fmt::format("{} bytes after the last tensor belong to none", data_bytes - at));
  }

 private:
  const std::filesystem::path& path_;
};

}  // namespace

std::int64_t TensorEntry::count() const {
  std::int64_t n = 1;
  for (const std::int64_t extent : shape) n *= extent;
  return n;
}

std::size_t element_size(std::string_view dtype) {
  if (dtype == "F64" || dtype == "I64" || dtype == "U64") return 8;
  if (dtype == "F32" || dtype == "I32" || dtype == "U32") return 4;
  if (dtype == "F16" || dtype == "BF16" || dtype == "I16" || dtype == "U16") return 2;
  if (dtype == "I8" || dtype == "U8" || dtype == "BOOL") return 1;
  return 0;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path) {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    throw Error(ErrorKind::kIo,
                fmt::format("cannot read {}: {}", path.string(), std::strerror(errno)),
                {{"file", path.string()}});
  }
  try {
    map(fd);
  } catch (...) {
    ::close(fd);
    throw;
  }
  ::close(fd);
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path, int descriptor) : path_(path) {
  map(descriptor);
}

void SafetensorsFile::map(int descriptor) {
  const Opener opener(path_);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size < 8) {
    opener.refuse("shorter than its 8-byte length field, or not a regular file");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  // Private and writable: a tensor on the mapping may be changed in place (its pages are copied
  // then), the file never is.
  mapping_ =
      ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
  if (mapping_ == MAP_FAILED) {
    const int code = errno;
    mapping_ = nullptr;
    throw Error(ErrorKind::kIo,
                fmt::format("cannot map {}: {}", path_.string(), std::strerror(code)),
                {{"file", path_.string()}});
  }
  try {
    const auto* base = static_cast<const std::byte*>(mapping_);
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, base, 8);
    if (header_bytes > size_ - 8 || header_bytes > kMaxHeaderBytes) {
      opener.refuse(fmt::format("its header claims {} bytes of a file of {}", header_bytes, size_));
    }
    const Json header = parse_json({reinterpret_cast<const char*>(base) + 8, header_bytes},
                                   path_.string() + " (header)", 8);
    if (!header.is_object()) opener.refuse("its header is not a JSON object");
    const std::uint64_t data_bytes = size_ - 8 - header_bytes;
    std::vector<Range> ranges;
    for (const auto& item : header.items()) {
      if (item.key() == "__metadata__") {
        if (!item.value().is_object()) opener.refuse("__metadata__ is not an object");
        for (const auto& pair : item.value().items()) {
          if (!pair.value().is_string())
            opener.refuse(fmt::format("__metadata__ '{}' is not a text", pair.key()));
          metadata_[pair.key()] = pair.value().get<std::string>();
        }
        continue;
      }
      TensorEntry& entry = tensors_[item.key()];
      const Range range = opener.read_entry(item.key(), item.value(), data_bytes, entry);
      entry.bytes = {base + 8 + header_bytes + range.begin,
                     static_cast<std::size_t>(range.end - range.begin)};
      ranges.push_back(range);
    }
    opener.check_cover(std::move(ranges), data_bytes);
  } catch (...) {
    ::munmap(mapping_, size_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  if (mapping_ != nullptr) ::munmap(mapping_, size_);
}

const TensorEntry& SafetensorsFile::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second;
  std::vector<std::string> names;
  for (const auto& [each, entry] : tensors_) names.push_back(each);
  throw Error(ErrorKind::kData,
              fmt::format("{} has no tensor '{}'{}", path_.string(), name, suggestion(name, names)),
              {{"file", path_.string()}, {"tensor", name}});
}

namespace {

template <typename T>
void widen(const TensorEntry& entry, std::vector<double>& out) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, entry.bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

}  // namespace

std::vector<double> SafetensorsFile::values(const std::string& name) const {
  const TensorEntry& entry = at(name);
  std::vector<double> out(static_cast<std::size_t>(entry.count()));
  if (entry.dtype == "F64") {
    widen<double>(entry, out);
  } else if (entry.dtype == "F32") {
    widen<float>(entry, out);
  } else if (entry.dtype == "I64") {
    widen<std::int64_t>(entry, out);
  } else if (entry.dtype == "I32") {
    widen<std::int32_t>(entry, out);
  } else if (entry.dtype == "I16") {
    widen<std::int16_t>(entry, out);
  } else if (entry.dtype == "I8") {
    widen<std::int8_t>(entry, out);
  } else if (entry.dtype == "U8" || entry.dtype == "BOOL") {
    widen<std::uint8_t>(entry, out);
  } else {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: tensor '{}' of dtype {} cannot be read as numbers here; legal: "
                            "F64, F32, I64, I32, I16, I8, U8, BOOL",
                            path_.string(), name, entry.dtype));
  }
  return out;
}

void write_safetensors(const std::filesystem::path& path,
                       const std::map<std::string, TensorSource>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {offset, offset + tensor.bytes.size()}}};
    offset += tensor.bytes.size();
  }
  std::string text = header.dump();
  text.append((kAlignment - (8 + text.size()) % kAlignment) % kAlignment, ' ');
  const std::uint64_t length = text.size();
  AtomicFile file(path);
  file.append({reinterpret_cast<const char*>(&length), sizeof length});
  file.append(text);
  for (const auto& [name, tensor] : tensors) {
    file.append({reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size()});
    if (tensor.written) tensor.written();
  }
  file.commit();
}

}  // namespace assay
