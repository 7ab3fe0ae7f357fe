#pragma once

#include <functional>
#include <string>

#include "harness/base/error.h"

namespace assay::testing {

// "kind: message" of the Error that `call` throws, or "no error".
inline std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string(name_of(error.kind())) + ": " + error.what();
  }
  return "no error";
}

}  // namespace assay::testing
