#include "harness/contract/artifact_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

Json result() {
  return {{"attempt", 1},
          {"cost", {{"wall_s", 0.25}}},
          {"environment", {{"host", "n\"1"}}},
          {"key", "ab"},
          {"metrics", {{"accuracy", 0.1}, {"digest", "0"}}}};
}

std::string compact(const Json& json) { return json.dump(); }

TEST(ArtifactFiles, published_text_is_the_compact_result_with_the_digest_of_the_rest) {
  for (Json made : {result(), Json{{"a", 1}}, Json{{"z", 1}}, Json::object()}) {
    const std::string rest = sha256(compact(made));
    const std::string text = published_text(made);
    EXPECT_EQ(made["digest"], rest);
    EXPECT_EQ(text, compact(made));
    EXPECT_EQ(result_digest(made), rest);
  }
}

class PublishedFile : public ::testing::Test {
 protected:
  void expect_damaged(const std::string& text) {
    write_file_atomically(path, text);
    EXPECT_THAT(refusal([&] { artifact_files(path); }),
                AllOf(StartsWith("data: "), HasSubstr(path.string())))
        << text;
  }

  TemporaryFolder folder;
  std::filesystem::path path = folder.path() / "ab.json";
};

TEST_F(PublishedFile, is_taken_as_it_was_published) {
  Json made = result();
  const std::string text = published_text(made) + "\n";
  write_file_atomically(path, text);
  EXPECT_TRUE(artifact_files(path).empty());
  write_file_atomically(path, made.dump(2));  // the same members, set out by hand
  EXPECT_TRUE(artifact_files(path).empty());
}

TEST_F(PublishedFile, is_another_publication_once_it_was_made_again) {
  write_file_atomically(path, "{}");
  const std::string first = publication_of(path);
  EXPECT_EQ(publication_of(path), first);
  write_file_atomically(path, "{}");
  EXPECT_NE(publication_of(path), first);
}

TEST_F(PublishedFile, is_refused_after_any_change) {
  Json made = result();
  const std::string text = published_text(made) + "\n";
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = changed[i] == '7' ? '8' : '7';
    if (i + 1 == text.size()) changed = text + "7";
    expect_damaged(changed);
    if (i + 1 < text.size()) expect_damaged(text.substr(0, i));
  }
}

}  // namespace
}  // namespace assay
