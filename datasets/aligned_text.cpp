#include "datasets/aligned_text.h"

namespace assay::datasets {

AlignedText AlignedText::part(std::size_t begin, std::size_t end) const {
  AlignedText result(text_.substr(begin, end - begin), original(begin));
  if (!ends_.empty()) {
    result.ends_.assign(ends_.begin() + static_cast<std::ptrdiff_t>(begin),
                        ends_.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return result;
}

void Rewriter::keep(std::size_t count) {
  if (changed_) {
    to_.text_.append(from_.text_, at_, count);
    for (std::size_t i = 1; i <= count; ++i) {
      to_.ends_.push_back(from_.original(at_ + i));
    }
  }
  at_ += count;
}

void Rewriter::replace(std::size_t count, std::string_view with) {
  if (!changed_) {
    changed_ = true;
    to_.begin_ = from_.begin_;
    const std::size_t before = at_;
    at_ = 0;
    keep(before);
  }
  const std::size_t begin = from_.original(at_);
  at_ += count;
  to_.text_.append(with);
  to_.ends_.insert(to_.ends_.end(), with.size(), begin);
  if (!with.empty()) {
    to_.ends_.back() = from_.original(at_);
  }
}

AlignedText Rewriter::finish() && {
  if (!changed_) {
    return std::move(from_);
  }
  keep(from_.text_.size() - at_);
  return std::move(to_);
}

AlignedText replaced(AlignedText text, std::string_view from, std::string_view to) {
  Rewriter rewriter(std::move(text));
  for (std::size_t found;
       (found = rewriter.text().find(from, rewriter.at())) != std::string::npos;) {
    rewriter.keep(found - rewriter.at());
    rewriter.replace(from.size(), to);
  }
  return std::move(rewriter).finish();
}

AlignedText prepended(AlignedText text, std::string_view prefix) {
  Rewriter rewriter(std::move(text));
  rewriter.replace(0, prefix);
  return std::move(rewriter).finish();
}

}  // namespace assay::datasets
