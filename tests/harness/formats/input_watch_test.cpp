#include "harness/formats/input_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::HasSubstr;

// The clock that stamps files moves in steps of a few milliseconds.
void next_tick() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

class InputWatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    weights_ = folder_ / "w.safetensors";
    save(weights_, 1);
  }

  // Weights of one value.
  static void save(const fs::path& path, float value) {
    const TensorSource source{"F32", {1}, std::as_bytes(std::span(&value, 1))};
    write_safetensors(path, {{"x", source}});
  }
  // The last bytes of the file, the value, in place: the inode stays.
  static void overwrite(const fs::path& path, float value) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-4, std::ios::end);
    file.write(reinterpret_cast<const char*>(&value), 4);
  }
  // As a plan that saw it long after its last change.
  InputFile planned() const {
    InputFile file = unplanned(weights_, "weights");
    file.digest = sha256_file(weights_);
    file.identity = identity_of(weights_);
    return file;
  }

  TemporaryFolder folder_;
  fs::path weights_;
};

TEST_F(InputWatchTest, a_file_that_stays_as_planned_is_read) {
  InputWatch watch;
  const auto mapped = watch.map(planned());
  EXPECT_EQ(mapped->values("x"), std::vector<double>{1});
  EXPECT_NO_THROW(watch.check());
  EXPECT_TRUE(watch.still_valid());
}

TEST_F(InputWatchTest, a_file_that_changed_before_it_was_opened_is_refused) {
  const InputFile file = planned();
  next_tick();
  overwrite(weights_, 2);
  InputWatch watch;
  EXPECT_THAT(refusal([&] { watch.map(file); }),
              HasSubstr("data: " + weights_.string() + " changed since the plan"));
}

TEST_F(InputWatchTest, a_file_of_another_identity_and_the_same_content_is_read) {
  const InputFile file = planned();
  save(folder_ / "copy", 1);
  fs::rename(folder_ / "copy", weights_);
  InputWatch watch;
  EXPECT_NO_THROW(watch.map(file));
}

TEST_F(InputWatchTest, a_change_while_it_is_open_is_found_at_the_end) {
  InputWatch watch;
  const auto mapped = watch.map(planned());
  next_tick();
  overwrite(weights_, 2);
  EXPECT_THAT(refusal([&] { watch.check(); }), HasSubstr("data: "));
}

TEST_F(InputWatchTest, a_change_that_is_undone_with_its_times_is_found_at_the_end) {
  InputWatch watch;
  const auto mapped = watch.map(planned());
  const fs::file_time_type time = fs::last_write_time(weights_);
  next_tick();
  overwrite(weights_, 2);
  overwrite(weights_, 1);
  fs::last_write_time(weights_, time);
  // Worth another try: what was read in between is unknown.
  EXPECT_THAT(refusal([&] { watch.check(); }), HasSubstr("io: "));
  EXPECT_FALSE(watch.still_valid());
}

TEST_F(InputWatchTest, a_file_swapped_only_while_it_was_opened_is_refused) {
  const InputFile file = planned();
  const fs::path aside = folder_ / "aside";
  fs::rename(weights_, aside);
  save(weights_, 2);
  InputWatch watch;
  const std::string refused = refusal([&] { watch.map(file); });
  fs::rename(aside, weights_);
  EXPECT_THAT(refused, HasSubstr("changed since the plan"));
}

TEST_F(InputWatchTest, a_fresh_file_is_read_again_at_the_end) {
  // Within a tick of the clock a second write leaves no trace in the identity.
  InputWatch watch;
  const auto mapped = watch.map(planned());
  overwrite(weights_, 2);
  EXPECT_THAT(refusal([&] { watch.check(); }), HasSubstr("changed since the plan"));
}

TEST_F(InputWatchTest, what_nothing_maps_any_more_is_not_watched) {
  InputWatch watch;
  watch.map(planned());
  EXPECT_TRUE(watch.still_valid());
  next_tick();
  overwrite(weights_, 2);
  EXPECT_TRUE(watch.still_valid());
  EXPECT_NO_THROW(watch.check());
}

TEST_F(InputWatchTest, a_whole_file_is_checked_by_the_bytes_that_were_read) {
  InputFile file = planned();
  EXPECT_EQ(sha256(read_input(file)), file.digest);
  overwrite(weights_, 2);
  EXPECT_THAT(refusal([&] { read_input(file); }), HasSubstr("data: "));
  file.digest.clear();
  EXPECT_NO_THROW(read_input(file));
}

TEST_F(InputWatchTest, files_survive_both_of_their_json_forms) {
  InputFile folder = unplanned("/images/train");
  folder.digest = "d";
  folder.manifest = "/store/manifests/m";
  const FileSet files({planned(), folder});
  const FileSet again = files_from_json(recipe_json(files), locations_json(files));
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0], files[0]);
  EXPECT_EQ(again[1], files[1]);
  Json fewer = locations_json(files);
  fewer.erase(1);
  EXPECT_THAT(refusal([&] { files_from_json(recipe_json(files), fewer); }),
              HasSubstr("do not list the same files"));
  Json other = locations_json(files);
  other[0]["name"] = "y";
  EXPECT_THAT(refusal([&] { files_from_json(recipe_json(files), other); }),
              HasSubstr("in the locations"));
}

}  // namespace
}  // namespace assay
