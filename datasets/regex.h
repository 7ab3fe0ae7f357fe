#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace assay::datasets {

// A compiled expression of a tokenizer, in what Oniguruma and PCRE2 read alike (regex_dialect.h);
// just-in-time compiled where the machine has that. Immutable; any thread may use it.
class Regex {
 public:
  // Throws Error(kUnsupported) with reason and place for an expression that does not compile, that
  // the two engines read differently, or that may match nothing.
  explicit Regex(const std::string& pattern);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // Calls `found(begin, end)` for every match that is not empty, left to right, without overlap.
  // text: valid UTF-8. Throws Error(kData) if the expression backtracks without bound.
  void each_match(std::string_view text,
                  const std::function<void(std::size_t, std::size_t)>& found) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace assay::datasets
