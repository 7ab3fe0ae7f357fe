#include "harness/contract/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/base/atomic_file.h"
#include "tests/support/temporary_folder.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

class InspectionFiles : public ::testing::Test {
 protected:
  std::string refusal_of(const std::string& text, bool answers) {
    write_file_atomically(file_, text);
    try {
      if (answers) {
        read_answers(file_, 1);
      } else {
        read_questions(file_);
      }
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
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
  EXPECT_THAT(refusal_of("{}", false), HasSubstr("'questions' is missing"));
  EXPECT_THAT(refusal_of(R"({"questions": [{"provider": "p"}]})", false),
              HasSubstr("questions[0]: 'stage' is missing"));
  EXPECT_THAT(
      refusal_of(R"({"questions": [{"provider": "p", "stage": "s", "inputs": {"a": 0}}]})", false),
      HasSubstr("input 'a' is 0; expected the index of an earlier question"));
}

TEST_F(InspectionFiles, malformed_answers_name_the_answer_and_the_member) {
  EXPECT_THAT(refusal_of(R"({"answers": []})", true), HasSubstr("0 answers to 1 questions"));
  EXPECT_THAT(refusal_of(R"({"answers": [{"refusals": [{"about": "moon", "kind": "data",
                             "message": "m"}]}]})",
                         true),
              HasSubstr("'about' is 'moon'; legal: model, data, method, metric, run"));
  EXPECT_THAT(refusal_of(R"({"answers": [{"refusals": [{"about": "data", "kind": "sad",
                             "message": "m"}]}]})",
                         true),
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
