#include "harness/evaluate/windows.h"

#include <ATen/ATen.h>
#include <fmt/format.h>

#include <algorithm>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay::evaluate {
namespace {

// Sums of a count over the tokens before each index: int64 [T + 1].
std::vector<std::int64_t> running_sums(const at::Tensor& counts) {
  const at::Tensor values = counts.contiguous();
  std::vector<std::int64_t> sums = {0};
  sums.reserve(static_cast<std::size_t>(values.numel()) + 1);
  for (std::int64_t i = 0; i < values.numel(); ++i) {
    sums.push_back(sums.back() + values.const_data_ptr<std::int32_t>()[i]);
  }
  return sums;
}

class Cutter {
 public:
  Cutter(const datasets::TokenSet& text, WindowedText& result)
      : result_(result),
        every_(result.bos_rule == "every_window"),
        once_(result.bos_rule == "once"),
        words_(running_sums(text.words)),
        bytes_(running_sums(text.bytes)) {}

  // Windows over the tokens [begin, end); `rest`: also the shorter last one.
  void cut(std::int64_t begin, std::int64_t end, bool rest) {
    const std::int64_t room = result_.context - (every_ ? 1 : 0);
    // Positions count an id that is added once as part of the row.
    const std::int64_t lead = once_ && !begins_with_bos(begin, end) ? 1 : 0;
    const std::int64_t length = end - begin + lead;
    std::int64_t at = 0;
    for (; at + room <= length; at += result_.stride) {
      add(begin, at, at + room, lead);
    }
    if (rest && at < length) {
      add(begin, at, length, lead);
    }
  }

 private:
  bool begins_with_bos(std::int64_t begin, std::int64_t end) const {
    return begin < end && result_.ids[begin].item<std::int32_t>() == *result_.bos;
  }

  void add(std::int64_t begin, std::int64_t from, std::int64_t to, std::int64_t lead) {
    Window window;
    window.begin = begin + std::max<std::int64_t>(from - lead, 0);
    window.length = begin + to - lead - window.begin;
    window.bos = (lead > 0 && from == 0) ||
                 (every_ && !begins_with_bos(window.begin, window.begin + window.length));
    // The first token is a target only if something stands before it; with an overlap only what
    // the window before has not seen is.
    const std::int64_t room = result_.context - (every_ ? 1 : 0);
    window.scored = window.size() - 1;
    if (result_.stride < room) {
      window.scored = std::min(window.scored, result_.stride);
    }
    if (window.scored <= 0) {
      return;
    }
    const auto first = static_cast<std::size_t>(window.begin + window.length - window.scored);
    const auto last = static_cast<std::size_t>(window.begin + window.length);
    window.words = words_[last] - words_[first];
    window.bytes = bytes_[last] - bytes_[first];
    result_.windows.push_back(window);
  }

  WindowedText& result_;
  bool every_;
  bool once_;
  std::vector<std::int64_t> words_;
  std::vector<std::int64_t> bytes_;
};

}  // namespace

const std::vector<std::string>& bos_rules() {
  static const std::vector<std::string> kRules = {"tokenizer", "every_window", "once", "none"};
  return kRules;
}

void check_protocol(const WindowProtocol& protocol, bool has_bos) {
  const auto refuse = [](const char* field, const auto& value, const std::string& text) {
    throw Error(ErrorKind::kConfig, text, {{"field", field}, {"value", fmt::format("{}", value)}});
  };
  if (protocol.text != "stream" && protocol.text != "documents") {
    refuse("windows", protocol.text,
           fmt::format("windows: {}; legal: stream, documents", protocol.text));
  }
  if (std::find(bos_rules().begin(), bos_rules().end(), protocol.bos) == bos_rules().end()) {
    refuse("bos", protocol.bos,
           fmt::format("bos: {}{}", protocol.bos, suggestion(protocol.bos, bos_rules())));
  }
  if (protocol.context < 2) {
    refuse("context", protocol.context,
           fmt::format("context: {}; a window needs at least 2 tokens, of which the second is "
                       "scored; write 2 or more, or 0 for the network's own",
                       protocol.context));
  }
  const std::int64_t most = protocol.context - (protocol.bos == "every_window" ? 1 : 0);
  if (protocol.stride < 0 || protocol.stride > most) {
    refuse("stride", protocol.stride,
           fmt::format("stride: {} with context {}; legal: 0 to {}", protocol.stride,
                       protocol.context, most));
  }
  if (protocol.stride > 0 && protocol.stride < most && protocol.text == "documents") {
    refuse("stride", protocol.stride,
           fmt::format("stride: {} with windows: documents; overlapping windows are supported over "
                       "the stream only; leave it out, or write windows: stream",
                       protocol.stride));
  }
  if ((protocol.bos == "every_window" || protocol.bos == "once") && !has_bos) {
    refuse("bos", protocol.bos,
           fmt::format("bos: {}, but the tokenizer has no beginning-of-text id; write bos: "
                       "tokenizer or bos: none",
                       protocol.bos));
  }
}

WindowedText cut_windows(const datasets::TokenSet& tokens, const WindowProtocol& protocol) {
  check_protocol(protocol, tokens.bos.has_value());
  const datasets::TokenSet text = datasets::without_added_beginnings(tokens);
  WindowedText result;
  result.ids = text.ids;
  result.bos = text.bos;
  result.context = protocol.context;
  result.bos_rule = protocol.bos != "tokenizer" ? protocol.bos : text.adds_bos ? "once" : "none";
  result.stride = protocol.stride > 0
                      ? protocol.stride
                      : protocol.context - (protocol.bos == "every_window" ? 1 : 0);
  Cutter cutter(text, result);
  if (protocol.text == "stream") {
    cutter.cut(0, text.size(), false);
  } else {
    for (std::size_t d = 1; d < text.starts.size(); ++d) {
      cutter.cut(text.starts[d - 1], text.starts[d], true);
    }
  }
  if (result.windows.empty()) {
    throw Error(
        ErrorKind::kConfig,
        protocol.text == "documents"
            ? fmt::format("none of the {} documents has 2 tokens, which a window needs; "
                          "name other texts, or write windows: stream",
                          tokens.documents())
            : fmt::format("the text has {} tokens, not enough for one window of {}; write a "
                          "smaller context, or name a longer text",
                          tokens.size(), protocol.context));
  }
  return result;
}

}  // namespace assay::evaluate
