#include "harness/supervise/inspection_batches.h"

#include <gmock/gmock.h>

#include <numeric>

namespace assay::supervise {
namespace {

using ::testing::ElementsAre;

constexpr auto kBeside = InspectionBatch::kBeside;

// Texts, each tokenized, and many stages that read one of them.
std::vector<Question> sample(std::size_t readers) {
  std::vector<Question> questions;
  for (const char* text : {"a", "b"}) {
    questions.push_back({.provider = "assay", .stage = "tokenize", .recipe = {{"text", text}}});
  }
  for (std::size_t i = 0; i < readers; ++i) {
    questions.push_back({.provider = "assay",
                         .stage = "read",
                         .recipe = {{"number", i}},
                         .inputs = {{"tokens", i % 2}}});
  }
  return questions;
}

std::vector<std::size_t> all_of(const std::vector<Question>& questions) {
  std::vector<std::size_t> all(questions.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return all;
}

TEST(InspectionBatches, few_questions_are_one_batch_as_they_are) {
  const auto questions = sample(3);
  const auto batches = inspection_batches(questions, all_of(questions), 1 << 20);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_THAT(batches[0].asked, ElementsAre(0, 1, 2, 3, 4));
  EXPECT_EQ(batches[0].questions[3].inputs.at("tokens"), 1u);
  EXPECT_TRUE(inspection_batches(questions, {}, 1 << 20).empty());
}

TEST(InspectionBatches, only_what_is_wanted_goes_and_what_its_inputs_name) {
  const auto batches = inspection_batches(sample(4), {3, 5}, 1 << 20);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_THAT(batches[0].asked, ElementsAre(kBeside, 0, 1));
  EXPECT_EQ(batches[0].questions[0].recipe["text"], "b");
  EXPECT_EQ(batches[0].questions[2].inputs.at("tokens"), 0u);
}

TEST(InspectionBatches, each_question_is_asked_once_and_no_file_is_too_large) {
  const auto questions = sample(200);
  const auto wanted = all_of(questions);
  std::vector<int> asked(wanted.size(), 0);
  const auto batches = inspection_batches(questions, wanted, 1000);
  EXPECT_GT(batches.size(), 10u);
  for (const InspectionBatch& batch : batches) {
    ASSERT_EQ(batch.questions.size(), batch.asked.size());
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < batch.questions.size(); ++i) {
      bytes += to_json(batch.questions[i]).dump().size();
      for (const auto& [name, input] : batch.questions[i].inputs) EXPECT_LT(input, i);
      if (batch.asked[i] == kBeside) continue;
      ++asked[batch.asked[i]];
      EXPECT_EQ(batch.questions[i].recipe, questions[batch.asked[i]].recipe);
      for (const auto& [name, input] : batch.questions[i].inputs) {
        const std::size_t meant = questions[batch.asked[i]].inputs.at(name);
        EXPECT_EQ(batch.questions[input].recipe, questions[meant].recipe);
      }
    }
    EXPECT_LE(bytes, 1000u);
  }
  EXPECT_THAT(asked, ::testing::Each(1));
}

TEST(InspectionBatches, a_question_that_is_larger_by_itself_has_its_own) {
  const auto questions = sample(2);
  EXPECT_EQ(inspection_batches(questions, all_of(questions), 1).size(), 4u);
}

}  // namespace
}  // namespace assay::supervise
