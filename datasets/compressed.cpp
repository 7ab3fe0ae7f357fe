#include "datasets/compressed.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "datasets/files.h"
#include "harness/base/error.h"

namespace assay::datasets {
namespace {

constexpr std::size_t kInflateStep = std::size_t{1} << 20;

struct Inflater {
  z_stream stream{};

  explicit Inflater(int window_bits) {
    if (inflateInit2(&stream, window_bits) != Z_OK) {
      throw Error(ErrorKind::kOom, "zlib could not start");
    }
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

// Tapes and block devices pad a gzip file with zeros: gzip and Python read over them, too.
bool is_padding(const z_stream& stream) {
  return std::all_of(stream.next_in, stream.next_in + stream.avail_in,
                     [](Bytef byte) { return byte == 0; });
}

// Inflates the streams in `bytes` one after the other (gzip files may be concatenated), at most
// `max_bytes`. Memory grows with what was really inflated, never with what a header claims.
std::string inflate_all(std::string_view bytes, std::size_t max_bytes, int window_bits,
                        bool several, std::string_view what, std::size_t* used) {
  if (bytes.size() > std::numeric_limits<uInt>::max()) {
    refuse_file(what, "compressed files above 4 GB are not read");
  }
  Inflater inflater(window_bits);
  z_stream& stream = inflater.stream;
  // zlib does not write through next_in; its interface only lacks the const.
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  for (;;) {
    const std::size_t done = out.size();
    // One byte past the limit is asked for, so that "too much" can be seen.
    out.resize(std::min(done + kInflateStep, max_bytes + 1));
    if (out.size() == done) {
      refuse_file(what, fmt::format("inflates to more than {} bytes", max_bytes));
    }
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + done);
    stream.avail_out = static_cast<uInt>(out.size() - done);
    const int code = inflate(&stream, Z_NO_FLUSH);
    out.erase(out.size() - stream.avail_out);
    if (code == Z_STREAM_END) {
      if (!several || is_padding(stream)) {
        break;
      }
      inflateReset(&stream);
    } else if (code != Z_OK) {
      refuse_file(what, code == Z_BUF_ERROR
                            ? "the compressed data is cut off"
                            : fmt::format("the compressed data is damaged ({})",
                                          stream.msg != nullptr ? stream.msg : "no reason given"));
    }
  }
  if (out.size() > max_bytes) {
    refuse_file(what, fmt::format("inflates to more than {} bytes", max_bytes));
  }
  if (used != nullptr) {
    *used = bytes.size() - stream.avail_in;
  }
  return out;
}

}  // namespace

std::string read_inflated(const InputFile& file, std::size_t max_bytes) {
  std::string bytes = read_input(file, max_bytes);
  if (bytes.size() < 2 || bytes[0] != '\x1f' || bytes[1] != '\x8b') {
    return bytes;
  }
  return inflate_all(bytes, max_bytes, 15 + 16, true, file.path.string(), nullptr);
}

std::string inflate_zlib(std::string_view bytes, std::size_t size, std::string_view what,
                         std::size_t* used) {
  std::string out = inflate_all(bytes, size, 15, false, what, used);
  if (out.size() != size) {
    refuse_file(what, fmt::format("inflates to {} bytes, its header says {}", out.size(), size));
  }
  return out;
}

}  // namespace assay::datasets
