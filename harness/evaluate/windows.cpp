#include "harness/evaluate/windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "harness/core/error.h"

namespace assay::evaluate {
namespace {

// A row of tokens that windows do not leave, with what it counts of the text.
struct Stretch {
  std::int64_t begin = 0;
  std::int64_t length = 0;
  double words = 0;
  double bytes = 0;
};

Window window_of(const Stretch& stretch, std::int64_t offset, std::int64_t length,
                 std::int64_t scored, std::int64_t adds) {
  const double share = static_cast<double>(adds) / static_cast<double>(stretch.length);
  return {stretch.begin + offset, length, scored, stretch.words * share, stretch.bytes * share};
}

std::vector<Stretch> stretches_of(const datasets::TokenSet& tokens, bool documents) {
  std::vector<Stretch> stretches;
  if (!documents) {
    const auto sum = [](const std::vector<std::int64_t>& counts) {
      return static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}));
    };
    stretches.push_back({0, tokens.size(), sum(tokens.words), sum(tokens.bytes)});
    return stretches;
  }
  for (std::size_t d = 0; d < tokens.words.size(); ++d) {
    stretches.push_back({tokens.starts[d], tokens.starts[d + 1] - tokens.starts[d],
                         static_cast<double>(tokens.words[d]),
                         static_cast<double>(tokens.bytes[d])});
  }
  return stretches;
}

void check(const datasets::TokenSet& tokens, const WindowProtocol& protocol) {
  if (protocol.text != "stream" && protocol.text != "documents") {
    throw Error(ErrorKind::kConfig,
                fmt::format("windows over '{}'; legal: stream, documents", protocol.text));
  }
  if (protocol.context < 2) {
    throw Error(ErrorKind::kConfig,
                fmt::format("context {}; a window needs at least 2 tokens", protocol.context));
  }
  const std::int64_t most = protocol.context - (protocol.bos_every_window ? 1 : 0);
  if (protocol.stride < 0 || protocol.stride > most) {
    throw Error(ErrorKind::kConfig, fmt::format("stride {} with context {}; legal: 0 to {}",
                                                protocol.stride, protocol.context, most));
  }
  if (protocol.stride > 0 && protocol.stride < most && protocol.text == "documents") {
    throw Error(ErrorKind::kConfig, "a stride is offered for windows over the stream only");
  }
  if (protocol.bos_every_window && !tokens.bos) {
    throw Error(ErrorKind::kConfig,
                "bos: every_window, but the tokenizer has no beginning-of-text id");
  }
}

}  // namespace

std::vector<Window> cut_windows(const datasets::TokenSet& tokens, const WindowProtocol& protocol) {
  check(tokens, protocol);
  const bool documents = protocol.text == "documents";
  const std::int64_t bos = protocol.bos_every_window ? 1 : 0;
  const std::int64_t length = protocol.context - bos;
  const std::int64_t step = protocol.stride > 0 ? protocol.stride : length;
  // The first token of a window is a target only if something stands before it.
  const auto scored_of = [&](std::int64_t tokens_in) {
    return step < length ? std::min(step, tokens_in - 1 + bos) : tokens_in - 1 + bos;
  };
  std::vector<Window> windows;
  for (const Stretch& stretch : stretches_of(tokens, documents)) {
    std::int64_t offset = 0;
    for (; offset + length <= stretch.length; offset += step) {
      windows.push_back(window_of(stretch, offset, length, scored_of(length), step));
    }
    const std::int64_t rest = stretch.length - offset;
    if (documents && rest > 0 && scored_of(rest) > 0) {
      windows.push_back(window_of(stretch, offset, rest, scored_of(rest), rest));
    }
  }
  if (windows.empty()) {
    throw Error(ErrorKind::kConfig, fmt::format("the text has {} tokens, not enough for one window "
                                                "of {}",
                                                tokens.size(), protocol.context));
  }
  return windows;
}

}  // namespace assay::evaluate
