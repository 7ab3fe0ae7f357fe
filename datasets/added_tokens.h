#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::datasets {

// A token that is found in the text before anything else.
struct AddedToken {
  std::string content;
  std::int32_t id = -1;  // -1: a file names it and none gives its id; a text must not hold it
  bool strips_left = false;  // takes white space beside it along
  bool strips_right = false;
  bool normalized = false;  // sought in the normalized text, in its own normalized form
  std::string file;         // that defines it
};

// Finds added tokens in a text: the leftmost, of those the longest, as Hugging Face tokenizers do.
class AddedTokenFinder {
 public:
  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);  // none has an empty content

  // Cuts a text from left to right: `stretch(begin, end)` for what lies between tokens (not
  // empty), `token(id, begin, end)` with the white space that it takes along. Throws Error(kData)
  // naming token and file for a token without an id.
  void cut(std::string_view text, const std::function<void(std::size_t, std::size_t)>& stretch,
           const std::function<void(std::int32_t, std::size_t, std::size_t)>& token) const;

 private:
  const AddedToken* token_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  std::array<std::vector<std::size_t>, 256> by_byte_;  // by first byte, longest first
};

}  // namespace assay::datasets
