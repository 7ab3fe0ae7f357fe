#include "harness/exec/failure.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>

#include "harness/base/error.h"

namespace assay::exec {
namespace {

template <typename Thrown>
protocol::Failure failure_of(const Thrown& thrown) {
  return failure_from(std::make_exception_ptr(thrown));
}

TEST(Failure, keeps_every_kind_of_our_own_errors) {
  for (const ErrorKind kind : {ErrorKind::kConfig, ErrorKind::kData, ErrorKind::kIo,
                               ErrorKind::kUnsupported, ErrorKind::kLost})
    EXPECT_EQ(failure_of(Error(kind, "x")).kind, name_of(kind));
}

TEST(Failure, a_file_system_error_is_io) {
  const auto code = std::make_error_code(std::errc::no_space_on_device);
  EXPECT_EQ(failure_of(std::filesystem::filesystem_error("write", "/x", code)).kind, "io");
}

TEST(Failure, a_message_of_a_megabyte_is_shortened) {
  EXPECT_LT(failure_of(std::runtime_error(std::string(1 << 20, 'x'))).message.size(), 10'000u);
}

}  // namespace
}  // namespace assay::exec
