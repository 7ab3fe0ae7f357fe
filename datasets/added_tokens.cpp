#include "datasets/added_tokens.h"

#include <fmt/format.h>

#include <algorithm>

#include "datasets/text.h"
#include "harness/base/error.h"
#include "harness/base/utf8.h"

namespace assay::datasets {
namespace {

// Where the white space that ends at `end` begins, not before `begin`.
std::size_t white_space_before(std::string_view text, std::size_t begin, std::size_t end) {
  while (end > begin) {
    std::size_t at = end - 1;
    while (at > begin && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) {
      --at;
    }
    if (!is_white_space(code_point_at(text, at).value)) {
      break;
    }
    end = at;
  }
  return end;
}

std::size_t white_space_after(std::string_view text, std::size_t at) {
  while (at < text.size()) {
    const CodePoint point = code_point_at(text, at);
    if (!is_white_space(point.value)) {
      break;
    }
    at += point.length;
  }
  return at;
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    by_byte_[static_cast<unsigned char>(tokens_[i].content.front())].push_back(i);
  }
  for (auto& candidates : by_byte_) {
    std::stable_sort(candidates.begin(), candidates.end(), [&](std::size_t a, std::size_t b) {
      return tokens_[a].content.size() > tokens_[b].content.size();
    });
  }
}

const AddedToken* AddedTokenFinder::token_at(std::string_view text, std::size_t at) const {
  for (const std::size_t i : by_byte_[static_cast<unsigned char>(text[at])]) {
    if (text.substr(at).starts_with(tokens_[i].content)) {
      return &tokens_[i];
    }
  }
  return nullptr;
}

void AddedTokenFinder::cut(
    std::string_view text, const std::function<void(std::size_t, std::size_t)>& stretch,
    const std::function<void(std::int32_t, std::size_t, std::size_t)>& token) const {
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* found = token_at(text, at);
    if (found == nullptr) {
      ++at;
      continue;
    }
    if (found->id < 0) {
      throw Error(ErrorKind::kData,
                  fmt::format("the text holds '{}', which {} names as a special token, but no file "
                              "gives its id; remove it from the text or add its id",
                              found->content, found->file),
                  {{"file", found->file}});
    }
    const std::size_t start = found->strips_left ? white_space_before(text, begin, at) : at;
    if (start > begin) {
      stretch(begin, start);
    }
    at += found->content.size();
    begin = found->strips_right ? white_space_after(text, at) : at;
    token(found->id, start, begin);
    at = begin;
  }
  if (begin < text.size()) {
    stretch(begin, text.size());
  }
}

}  // namespace assay::datasets
