#include "harness/base/error.h"

#include <array>

namespace assay {
namespace {

struct KindName {
  ErrorKind kind;
  std::string_view name;
};

constexpr std::array<KindName, 10> kKindNames{{{ErrorKind::kConfig, "config"},
                                               {ErrorKind::kMethod, "method"},
                                               {ErrorKind::kData, "data"},
                                               {ErrorKind::kIo, "io"},
                                               {ErrorKind::kOom, "oom"},
                                               {ErrorKind::kCrash, "crash"},
                                               {ErrorKind::kLost, "lost"},
                                               {ErrorKind::kTimeout, "timeout"},
                                               {ErrorKind::kUnsupported, "unsupported"},
                                               {ErrorKind::kEnvironment, "environment"}}};

// what() ends at the first NUL.
std::string without_nul(std::string text) {
  for (std::size_t at = 0; (at = text.find('\0', at)) != std::string::npos;) {
    text.replace(at, 1, "\\x00");
  }
  return text;
}

}  // namespace

std::string_view name_of(ErrorKind kind) {
  for (const KindName& entry : kKindNames) {
    if (entry.kind == kind) return entry.name;
  }
  return "unknown";
}

std::optional<ErrorKind> error_kind_from(std::string_view name) {
  for (const KindName& entry : kKindNames) {
    if (entry.name == name) return entry.kind;
  }
  return std::nullopt;
}

Error::Error(ErrorKind kind, const std::string& message, Context context)
    : std::runtime_error(without_nul(message)), kind_(kind), context_(std::move(context)) {}

}  // namespace assay
