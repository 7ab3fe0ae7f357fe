#include "harness/supervise/numerics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "harness/supervise/spawn.h"

namespace assay::supervise {
namespace {

using ::testing::Contains;
using ::testing::Not;
using ::testing::StartsWith;

TEST(Numerics, the_class_of_several_hosts_is_what_all_can_do) {
  const HostNumerics new_intel{"a", "avx512", true};
  const HostNumerics old_intel{"b", "avx2", true};
  const HostNumerics amd{"c", "avx512", false};
  EXPECT_EQ(lowest_numerics({new_intel}), new_intel);
  EXPECT_EQ(lowest_numerics({new_intel, old_intel}), old_intel);
  EXPECT_EQ(lowest_numerics({new_intel, old_intel, amd}), (HostNumerics{"b", "avx2", false}));
}

TEST(Numerics, a_level_offers_those_below_it) {
  EXPECT_TRUE(offers_level("avx512", "avx2"));
  EXPECT_TRUE(offers_level("avx2", "default"));
  EXPECT_FALSE(offers_level("avx2", "avx512"));
  EXPECT_FALSE(offers_level("default", "avx2"));
}

TEST(Numerics, the_environment_lowers_what_a_host_offers_and_never_raises_it) {
  ::setenv("ATEN_CPU_CAPABILITY", "default", 1);
  ::setenv("ASSAY_MKL_OVERRIDE", "1", 1);
  EXPECT_EQ(host_numerics().cpu_level, "default");
  EXPECT_TRUE(host_numerics().mkl_intel);
  ::setenv("ASSAY_MKL_OVERRIDE", "0", 1);
  EXPECT_FALSE(host_numerics().mkl_intel);
  ::unsetenv("ATEN_CPU_CAPABILITY");
  const std::string own = host_numerics().cpu_level;
  ::setenv("ATEN_CPU_CAPABILITY", "avx512", 1);
  EXPECT_EQ(host_numerics().cpu_level, own);
  ::unsetenv("ATEN_CPU_CAPABILITY");
  ::unsetenv("ASSAY_MKL_OVERRIDE");
}

TEST(Numerics, executors_inherit_nothing_that_moves_bits) {
  ::setenv("MKL_CBWR", "COMPATIBLE", 1);
  ::setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16", 1);
  ::setenv("ATEN_CPU_CAPABILITY", "default", 1);
  const auto inherited = cleaned_environment(numerics_environment("avx2", false));
  EXPECT_THAT(inherited, Not(Contains(StartsWith("MKL_CBWR"))));
  EXPECT_THAT(inherited, Not(Contains(StartsWith("ONEDNN_DEFAULT_FPMATH_MODE"))));
  EXPECT_THAT(inherited, Contains("ATEN_CPU_CAPABILITY=avx2"));
  EXPECT_THAT(inherited, Contains("ASSAY_MKL_OVERRIDE=0"));
  for (const char* name : {"MKL_CBWR", "ONEDNN_DEFAULT_FPMATH_MODE", "ATEN_CPU_CAPABILITY"})
    ::unsetenv(name);
}

}  // namespace
}  // namespace assay::supervise
