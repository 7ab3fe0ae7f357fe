#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datasets/aligned_text.h"
#include "datasets/regex.h"
#include "harness/base/json.h"

namespace assay::datasets {

// The `pre_tokenizer` of a tokenizer.json: steps that cut a text into pieces. ByteLevel may only be
// the last step, so that every step sees text. Offered: Sequence, ByteLevel, Split (Isolated or
// Removed), Digits, Metaspace without split, and null.
class PreTokenizer {
 public:
  // Throws Error(kUnsupported) naming the type or setting that is not supported, Error(kData) for a
  // malformed entry; `what` names the file.
  PreTokenizer(const Json& json, const std::string& what);

  // One ByteLevel step with GPT-2's expression.
  static PreTokenizer gpt2(bool add_prefix_space);

  // Whether the model works on bytes.
  bool byte_level() const { return byte_level_; }

  // text: valid UTF-8, one stretch between special tokens; `first`: it begins the whole text.
  std::vector<AlignedText> pieces(AlignedText text, bool first) const;

 private:
  enum class Keep { kBoth, kMatches, kGaps };
  enum class Prepend { kNever, kFirst, kAlways };
  struct Step {
    std::unique_ptr<Regex> regex;  // null: no cutting
    Keep keep = Keep::kBoth;
    std::string replacement;  // Metaspace: what a space becomes; ByteLevel: "" (a space stays)
    Prepend prepend = Prepend::kNever;
  };

  PreTokenizer() = default;
  void add(const Json& json, const std::string& what);
  void add_byte_level(bool prefix_space, bool use_regex);
  void add_split(const Json& json, const std::string& where);
  void add_metaspace(const Json& json, const std::string& where);
  static void apply(const Step& step, AlignedText text, bool first,
                    std::vector<AlignedText>& pieces);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace assay::datasets
