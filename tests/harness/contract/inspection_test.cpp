#include "harness/contract/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

class InspectionFiles : public ::testing::Test {
 protected:
  std::string questions_error(const std::string& text) {
    write_file_atomically(file_, text);
    return refusal([&] { read_questions(file_); });
  }
  std::string answers_error(const std::string& text) {
    write_file_atomically(file_, text);
    return refusal([&] { read_answers(file_, 1); });
  }

  TemporaryFolder folder_;
  std::filesystem::path file_ = folder_.path() / "file.json";
};

TEST_F(InspectionFiles, questions_and_answers_survive_the_files) {
  const std::vector<Question> questions{
      {.provider = "p", .stage = "a", .recipe = {{"x", 1}}, .locations = {{"y", 2}}},
      {.provider = "p", .stage = "b", .inputs = {{"in", 0}}}};
  write_questions(file_, questions);
  EXPECT_EQ(read_questions(file_), questions);
  const std::vector<Answer> answers{
      {.facts = {{"model", {{"parameters", 3}}}}},
      {.refusals = {
           {.about = "method", .kind = ErrorKind::kMethod, .message = "no", .field = "f"}}}};
  write_answers(file_, answers);
  EXPECT_EQ(read_answers(file_, 2), answers);
}

TEST_F(InspectionFiles, malformed_questions_name_the_question_and_the_member) {
  EXPECT_THAT(questions_error("{}"), HasSubstr("'questions' is missing"));
  EXPECT_THAT(questions_error(R"({"questions": [{"provider": "p"}]})"),
              HasSubstr("questions[0]: 'stage' is missing"));
  EXPECT_THAT(
      questions_error(R"({"questions": [{"provider": "p", "stage": "s", "inputs": {"a": 0}}]})"),
      HasSubstr("input 'a' is 0; expected the index of an earlier question"));
}

TEST_F(InspectionFiles, malformed_answers_name_the_answer_and_the_member) {
  EXPECT_THAT(answers_error(R"({"answers": []})"), HasSubstr("0 answers to 1 questions"));
  EXPECT_THAT(answers_error(R"({"answers": [{"refusals": [{"about": "moon", "kind": "data",
                                "message": "m"}]}]})"),
              HasSubstr("'about' is 'moon'; legal: model, data, method, metric, run"));
  EXPECT_THAT(answers_error(R"({"answers": [{"refusals": [{"about": "data", "kind": "sad",
                                "message": "m"}]}]})"),
              HasSubstr("kind 'sad' is not known"));
}

TEST(Refusal, of_an_error_has_its_file_field_and_value) {
  const Error error(ErrorKind::kData, "bad", {{"file", "/f"}, {"tensor", "t"}, {"value", "3"}});
  const Refusal expected{.about = "model",
                         .kind = ErrorKind::kData,
                         .message = "bad",
                         .file = "/f",
                         .field = "t",
                         .value = "3"};
  EXPECT_EQ(refusal_from(error, "model"), expected);
}

}  // namespace
}  // namespace assay
