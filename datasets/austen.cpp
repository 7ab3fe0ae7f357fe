#include "datasets/austen.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <utility>

#include "datasets/compressed.h"
#include "datasets/files.h"
#include "datasets/text.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kMaxArchiveBytes = std::size_t{64} << 20;
constexpr std::size_t kMaxEntryBytes = std::size_t{16} << 20;
constexpr std::uint32_t kStringVector = 16;
constexpr std::uint32_t kString = 9;
constexpr std::uint32_t kLatin1 = 1u << 14;  // among the flags of a string
constexpr std::uint32_t kMissing = 0xFFFFFFFF;

class Cursor {
 public:
  Cursor(std::string_view bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  std::uint32_t number() {
    std::uint32_t value = 0;
    for (const char byte : take(4)) {
      value = value << 8 | static_cast<unsigned char>(byte);
    }
    return value;
  }
  std::string_view take(std::size_t count) {
    if (count > left()) {
      refuse_file(
          what_, fmt::format("cut off: {} bytes wanted at offset {}, {} left", count, at_, left()));
    }
    at_ += count;
    return bytes_.substr(at_ - count, count);
  }
  std::size_t left() const { return bytes_.size() - at_; }
  std::string_view rest() const { return bytes_.substr(at_); }

 private:
  std::string_view bytes_;
  std::string what_;
  std::size_t at_ = 0;
};

std::string utf8_of_latin1(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) {
    append_utf8(text, static_cast<unsigned char>(byte));
  }
  return text;
}

// The novel whose title is the first line, or "".
std::string novel_of(const std::vector<std::string>& lines) {
  std::string title = lines.empty() ? "" : lines.front();
  std::transform(title.begin(), title.end(), title.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string& name : austen_novels()) {
    if (title.starts_with(name)) {
      return name;
    }
  }
  return "";
}

}  // namespace

const std::vector<std::string>& austen_novels() {
  static const std::vector<std::string> kNovels = {"emma",       "mansfield", "northanger",
                                                   "persuasion", "pride",     "sense"};
  return kNovels;
}

std::vector<std::string> r_string_vector(std::string_view bytes, const std::string& what) {
  Cursor cursor(bytes, what);
  if (cursor.take(2) != "X\n") {
    refuse_file(what, "not an R serialisation in XDR form");
  }
  const std::uint32_t version = cursor.number();
  if (version != 2 && version != 3) {
    refuse_file(what, fmt::format("R serialisation version {}; legal: 2, 3", version));
  }
  cursor.take(8);  // versions of the writer and of the oldest reader
  if (version == 3) {
    cursor.take(cursor.number());  // native encoding
  }
  const std::uint32_t type = cursor.number() & 0xFF;
  if (type != kStringVector) {
    refuse_file(what, fmt::format("an R object of type {}, not a string vector (16)", type));
  }
  const std::uint32_t count = cursor.number();
  if (count > cursor.left() / 8) {
    refuse_file(what, fmt::format("{} strings cannot lie in {} bytes", count, cursor.left()));
  }
  std::vector<std::string> lines;
  lines.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t flags = cursor.number();
    const std::uint32_t length = cursor.number();
    if ((flags & 0xFF) != kString) {
      refuse_file(what, fmt::format("element {} is of type {}, not a string (9)", i, flags & 0xFF));
    }
    if (length == kMissing) {
      refuse_file(what, fmt::format("element {} is missing (NA)", i));
    }
    const std::string_view line = cursor.take(length);
    lines.push_back((flags & kLatin1) != 0 ? utf8_of_latin1(line) : std::string(line));
    check_utf8(lines.back(), what);
  }
  return lines;
}

std::map<std::string, std::string> read_austen(const InputFile& file) {
  const std::string bytes = read_input(file, kMaxArchiveBytes);
  Cursor cursor(bytes, file.path.string());
  std::map<std::string, std::string> novels;
  for (int number = 0; cursor.left() > 0; ++number) {
    const std::string what = fmt::format("{}, entry {}", file.path.string(), number);
    const std::size_t size = cursor.number();
    if (size > kMaxEntryBytes) {
      refuse_file(what,
                  fmt::format("{} bytes after inflating; legal: up to {}", size, kMaxEntryBytes));
    }
    // Where a stream ends is written nowhere but in the stream.
    std::size_t used = 0;
    const std::string content = inflate_zlib(cursor.rest(), size, what, &used);
    cursor.take(used);
    const std::vector<std::string> lines = r_string_vector(content, what);
    const std::string name = novel_of(lines);
    if (name.empty() || novels.contains(name)) {
      refuse_file(what, "does not begin with the title of one of the six novels, or repeats one");
    }
    std::string& text = novels[name];
    for (const std::string& line : lines) {
      text += line;
      text += '\n';
    }
  }
  return novels;
}

}  // namespace assay::datasets
