#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace assay {

// Why something could not go on. The scheduler decides by it what happens next
// (docs/guides/failures.md).
enum class ErrorKind {
  kConfig,       // the user's sweep, parameters or command line
  kMethod,       // a method cannot do this (a matrix that does not factor, a divergence)
  kData,         // a checkpoint, image, text or database is malformed
  kIo,           // disk full, permission, file system errors: worth another try
  kOom,          // out of memory, host or device
  kCrash,        // the executor died by itself
  kLost,         // the executor, rank or node was taken away
  kTimeout,      // no progress or past the stage's limit
  kUnsupported,  // understood, but not offered by this build or version
  kEnvironment,  // no usable slot, store or database damaged
};

// "config", "method", ... as in messages, the database and docs.
std::string_view name_of(ErrorKind kind);
std::optional<ErrorKind> error_kind_from(std::string_view name);

// The one exception type of the project. `message` says what failed, the value, the legal values
// and the mend; `context` carries the same facts as pairs for machines (file, line, column, tensor,
// stage, ...).
class Error : public std::runtime_error {
 public:
  using Context = std::vector<std::pair<std::string, std::string>>;

  Error(ErrorKind kind, const std::string& message, Context context = {});

  ErrorKind kind() const { return kind_; }
  const Context& context() const { return context_; }

 private:
  ErrorKind kind_;
  Context context_;
};

}  // namespace assay
