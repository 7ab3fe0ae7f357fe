#include "harness/exec/failure.h"

#include <c10/util/Exception.h>

#include <filesystem>
#include <new>
#include <string_view>

#include "harness/base/error.h"

namespace assay::exec {
namespace {

// LibTorch's CPU allocator throws a plain c10::Error when the system refuses memory.
bool is_out_of_memory(std::string_view message) {
  return message.find("DefaultCPUAllocator") != std::string_view::npos &&
         message.find("allocate memory") != std::string_view::npos;
}

Json table(const Error::Context& context) {
  Json result = Json::object();
  for (const auto& [name, value] : context) result[name] = value;
  return result;
}

// Keeps a message (with a checkpoint's list of missing tensors, say) well below the line's limit.
std::string shortened(std::string message) {
  constexpr std::size_t kLongest = 8 * 1024;
  if (message.size() > kLongest) message = message.substr(0, kLongest) + " ...";
  return message;
}

}  // namespace

protocol::Failure failure_from(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& e) {
    return {std::string(name_of(e.kind())), shortened(e.what()), table(e.context())};
  } catch (const c10::OutOfMemoryError& e) {
    return {"oom", shortened(e.what_without_backtrace()), Json::object()};
  } catch (const c10::Error& e) {
    const std::string message = e.what_without_backtrace();
    return {is_out_of_memory(message) ? "oom" : "method", shortened(message), Json::object()};
  } catch (const std::bad_alloc&) {
    return {"oom", "out of memory", Json::object()};
  } catch (const std::filesystem::filesystem_error& e) {
    return {"io", shortened(e.what()), Json::object()};
  } catch (const std::exception& e) {
    return {"method", shortened(e.what()), Json::object()};
  } catch (...) {
    return {"method", "an exception of an unknown type", Json::object()};
  }
}

}  // namespace assay::exec
