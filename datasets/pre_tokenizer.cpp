#include "datasets/pre_tokenizer.h"

#include <fmt/format.h>

#include "datasets/byte_level.h"
#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

// A text as an expression that matches it literally.
std::string quoted(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.|?*+()[]{}#-/ \t\n\r").find(c) != std::string_view::npos) {
      pattern += '\\';
    }
    pattern += c;
  }
  return pattern;
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& json, const std::string& what) {
  if (!json.is_null()) {
    add(json, what);
  }
}

PreTokenizer PreTokenizer::gpt2(bool add_prefix_space) {
  PreTokenizer result;
  result.add_byte_level(add_prefix_space, true);
  return result;
}

void PreTokenizer::add_byte_level(bool prefix_space, bool use_regex) {
  Step step;
  step.prepend = prefix_space ? Prepend::kAlways : Prepend::kNever;
  if (use_regex) {
    step.regex = std::make_unique<Regex>(kGpt2Expression);
  }
  steps_.push_back(std::move(step));
  byte_level_ = true;
}

void PreTokenizer::add_split(const Json& json, const std::string& where) {
  const std::string behavior = text_member_or(json, "behavior", "", where);
  const bool invert = flag_member_or(json, "invert", false, where);
  if (behavior != "Isolated" && behavior != "Removed") {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: behavior '{}' is not supported; supported: "
                            "Isolated, Removed",
                            where, behavior));
  }
  const Json& pattern = object_member(json, "pattern", where);
  Step step;
  const std::string expression = pattern.contains("Regex")
                                     ? text_member_or(pattern, "Regex", "", where)
                                     : quoted(text_member_or(pattern, "String", "", where));
  try {
    step.regex = std::make_unique<Regex>(expression);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}: {}", where, e.what()));
  }
  step.keep = behavior == "Isolated" ? Keep::kBoth : invert ? Keep::kMatches : Keep::kGaps;
  steps_.push_back(std::move(step));
}

void PreTokenizer::add_metaspace(const Json& json, const std::string& where) {
  Step step;
  step.replacement = text_member_or(json, "replacement", "\xe2\x96\x81", where);
  const std::string scheme = text_member_or(json, "prepend_scheme", "always", where);
  if (flag_member_or(json, "split", true, where) || step.replacement.empty() ||
      (scheme != "always" && scheme != "first" && scheme != "never")) {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{}: only split: false with prepend_scheme always, first or never is "
                            "supported",
                            where));
  }
  step.prepend = scheme == "always"  ? Prepend::kAlways
                 : scheme == "first" ? Prepend::kFirst
                                     : Prepend::kNever;
  steps_.push_back(std::move(step));
}

void PreTokenizer::add(const Json& json, const std::string& what) {
  const std::string type = text_member(json, "type", what + ": pre_tokenizer");
  const std::string where = fmt::format("{}: pre_tokenizer {}", what, type);
  if (byte_level_) {
    throw Error(ErrorKind::kUnsupported, fmt::format("{} after ByteLevel is not supported", where));
  }
  if (type == "Sequence") {
    for (const Json& part : list_member(json, "pretokenizers", where)) {
      add(part, what);
    }
  } else if (type == "ByteLevel") {
    add_byte_level(flag_member_or(json, "add_prefix_space", true, where),
                   flag_member_or(json, "use_regex", true, where));
  } else if (type == "Digits") {
    Step step;
    const bool single = flag_member_or(json, "individual_digits", false, where);
    step.regex = std::make_unique<Regex>(single ? R"(\p{N})" : R"(\p{N}+)");
    steps_.push_back(std::move(step));
  } else if (type == "Split") {
    add_split(json, where);
  } else if (type == "Metaspace") {
    add_metaspace(json, where);
  } else {
    throw Error(ErrorKind::kUnsupported,
                fmt::format("{} is not supported; supported: Sequence, ByteLevel, Split, Digits, "
                            "Metaspace",
                            where));
  }
}

void PreTokenizer::apply(const Step& step, AlignedText text, bool first,
                         std::vector<AlignedText>& pieces) {
  const std::string space = step.replacement.empty() ? " " : step.replacement;
  if (!step.replacement.empty()) {
    text = replaced(std::move(text), " ", space);
  }
  if ((step.prepend == Prepend::kAlways || (step.prepend == Prepend::kFirst && first)) &&
      !text.text().starts_with(space)) {
    text = prepended(std::move(text), space);
  }
  if (!step.regex) {
    pieces.push_back(std::move(text));
    return;
  }
  std::size_t done = 0;
  const auto gap = [&](std::size_t end) {
    if (end > done && step.keep != Keep::kMatches) {
      pieces.push_back(text.part(done, end));
    }
  };
  step.regex->each_match(text.text(), [&](std::size_t begin, std::size_t end) {
    gap(begin);
    if (step.keep != Keep::kGaps) {
      pieces.push_back(text.part(begin, end));
    }
    done = end;
  });
  gap(text.text().size());
}

std::vector<AlignedText> PreTokenizer::pieces(AlignedText text, bool first) const {
  std::vector<AlignedText> pieces;
  if (!text.empty()) {
    pieces.push_back(std::move(text));
  }
  for (const Step& step : steps_) {
    std::vector<AlignedText> finer;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      apply(step, std::move(pieces[i]), first && i == 0, finer);
    }
    pieces = std::move(finer);
  }
  return pieces;
}

}  // namespace assay::datasets
