#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace assay::datasets {

// A text that was made from a part of an original, and how far the original is used up after each
// of its bytes. Where a change replaces several bytes at once, all of the original belongs to the
// last new byte: a token that holds half of a changed character stands for none of it.
class AlignedText {
 public:
  // A copy of the original's bytes from `begin` on.
  explicit AlignedText(std::string text, std::size_t begin = 0)
      : text_(std::move(text)), begin_(begin) {}

  const std::string& text() const { return text_; }
  bool empty() const { return text_.empty(); }

  // Offset into the original that the first `count` bytes reach.
  std::size_t original(std::size_t count) const {
    return ends_.empty() ? begin_ + count : count == 0 ? begin_ : ends_[count - 1];
  }

  // Bytes [begin, end).
  AlignedText part(std::size_t begin, std::size_t end) const;

 private:
  friend class Rewriter;

  std::string text_;
  std::size_t begin_ = 0;
  std::vector<std::size_t> ends_;  // one a byte; empty: bytes are those of the original
};

// Writes a changed copy from left to right.
class Rewriter {
 public:
  explicit Rewriter(AlignedText from) : from_(std::move(from)) {}

  const std::string& text() const { return from_.text(); }
  std::size_t at() const { return at_; }

  void keep(std::size_t count);
  // `count` bytes become `with`; 0 inserts.
  void replace(std::size_t count, std::string_view with);
  // What is left is kept.
  AlignedText finish() &&;

 private:
  AlignedText from_;
  std::size_t at_ = 0;
  bool changed_ = false;  // until then nothing is written
  AlignedText to_{""};
};

// Every `from` (not empty) becomes `to`.
AlignedText replaced(AlignedText text, std::string_view from, std::string_view to);

// `prefix` in front.
AlignedText prepended(AlignedText text, std::string_view prefix);

}  // namespace assay::datasets
