#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "harness/base/error.h"
#include "results/store/checksum.h"
#include "results/store/reader.h"
#include "tests/results/sample_run.h"

namespace assay::results {

// A folder in which the database of a run lies, or will.
class DatabaseTest : public ::testing::Test {
 protected:
  // As a run leaves it that ends.
  void make_database() {
    DatabaseSink sink(file);
    run_all(sink, SamplePlan().trial("rtn", "W8A8").plan());
  }

  // As one leaves it that is killed: what is said of the file is found in the file.
  void make_database_without_checksum() {
    make_database();
    remove_checksum(file);
  }

  // Kind and text of what opening for reading and writing throws.
  template <typename Work>
  static Error error_of(const Work& work) {
    try {
      work();
    } catch (const Error& e) {
      return e;
    }
    ADD_FAILURE() << "nothing was thrown";
    return Error(ErrorKind::kConfig, "");
  }

  void expect_refused(ErrorKind kind, const std::string& text) {
    const Error reading = error_of([&] { Reader(file).results(); });
    EXPECT_EQ(reading.kind(), kind) << reading.what();
    EXPECT_THAT(reading.what(), ::testing::HasSubstr(text));
    const Error writing = error_of([&] { DatabaseSink sink(file); });
    EXPECT_EQ(writing.kind(), kind) << writing.what();
    EXPECT_THAT(writing.what(), ::testing::HasSubstr(text));
  }

  TemporaryFolder folder;
  std::filesystem::path file = folder / "results.sqlite";
};

}  // namespace assay::results
