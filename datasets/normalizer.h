#pragma once

#include <string>
#include <vector>

#include "datasets/aligned_text.h"
#include "datasets/unicode_form.h"
#include "harness/base/json.h"

namespace assay::datasets {

// The `normalizer` of a tokenizer.json: changes of the text before it is cut into pieces. Offered:
// Sequence, Prepend, Replace of a text, NFC, NFD, NFKC, NFKD, and null.
class Normalizer {
 public:
  Normalizer() = default;

  // Throws Error(kUnsupported) naming the type or setting that is not supported, Error(kData) for a
  // malformed entry; `what` names the file.
  Normalizer(const Json& json, const std::string& what);

  static Normalizer of_form(UnicodeForm form);

  AlignedText operator()(AlignedText text) const;

  // What a space becomes, or "".
  const std::string& space() const { return space_; }
  // Whether something is put in front of every text.
  bool prepends() const { return prepends_; }

 private:
  enum class Kind { kPrepend, kReplace, kForm };
  struct Step {
    Kind kind = Kind::kReplace;
    std::string from;
    std::string to;
    UnicodeForm form = UnicodeForm::kNfc;
  };

  void add(const Json& json, const std::string& what);

  std::vector<Step> steps_;
  std::string space_;
  bool prepends_ = false;
};

}  // namespace assay::datasets
