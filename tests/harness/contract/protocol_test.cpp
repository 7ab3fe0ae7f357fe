#include "harness/contract/protocol.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "harness/base/error.h"
#include "tests/support/refusal.h"

namespace assay::protocol {
namespace {

using assay::testing::refusal;
using ::testing::HasSubstr;

std::string decode_error(std::string_view line) {
  return refusal([&] { decode(line, "executor 3"); });
}

TEST(Protocol, a_run_survives_the_wire) {
  Message m;
  m.type = Type::kRun;
  m.run = {.attempt = "k.1",
           .stage = "echo",
           .key = "ab",
           .recipe = {{"seed", 1}},
           .inputs = {{"a", "/x"}},
           .output = "/o",
           .resume_dir = "/r"};
  const Message back = decode(encode(m), "test");
  EXPECT_EQ(back.type, Type::kRun);
  EXPECT_EQ(back.attempt, "k.1");
  EXPECT_EQ(back.run.recipe, m.run.recipe);
  EXPECT_EQ(back.run.inputs, m.run.inputs);
}

TEST(Protocol, a_recipe_that_is_a_text_already_is_sent_as_it_is) {
  Message m;
  m.type = Type::kRun;
  m.run = {.attempt = "k.1", .stage = "echo", .key = "ab", .output = "/o", .resume_dir = "/r"};
  m.run.recipe_text = R"({"seed":1})";
  EXPECT_EQ(decode(encode(m), "test").run.recipe, Json({{"seed", 1}}));
}

TEST(Protocol, malformed_messages_name_sender_field_and_value) {
  EXPECT_THAT(decode_error("{"), HasSubstr("executor 3: not valid JSON"));
  EXPECT_THAT(decode_error("[1]"), HasSubstr("must be a JSON object"));
  EXPECT_THAT(decode_error("{}"), HasSubstr("'type' is missing in {}"));
  EXPECT_THAT(decode_error(R"({"type": "dne"})"),
              HasSubstr("unknown message type 'dne'; did you mean 'done'?"));
  EXPECT_THAT(
      decode_error(R"({"type": "progress", "attempt": "a", "done": "x", "total": 1, "unit": ""})"),
      HasSubstr("'done' must be an integer, not \"x\""));
  EXPECT_THAT(decode_error(R"({"type": "failed", "attempt": "a", "kind": "bad", "message": ""})"),
              HasSubstr("unknown failure kind 'bad'"));
  EXPECT_THAT(decode_error(std::string(kMaxLineBytes + 1, ' ')), HasSubstr("over the limit"));
}

TEST(Protocol, messages_over_the_limit_are_not_sent) {
  Message m;
  m.type = Type::kDone;
  m.attempt = "a";
  m.result = {{"big", std::string(kMaxLineBytes, 'x')}};
  EXPECT_THROW(encode(m), Error);
}

TEST(LineReader, splits_a_stream_and_bounds_a_line) {
  LineReader reader("peer");
  reader.feed("ab");
  EXPECT_FALSE(reader.next());
  reader.feed("c\nde\n");
  EXPECT_EQ(reader.next(), "abc");
  EXPECT_EQ(reader.next(), "de");
  EXPECT_FALSE(reader.next());
  reader.feed(std::string(kMaxLineBytes + 1, 'x'));
  EXPECT_THROW(reader.next(), Error);
}

TEST(Nonfinite, a_result_that_is_not_a_number_fails_its_stage_by_name) {
  const Message message =
      decode(R"({"type": "done", "attempt": "k.1", "result": {"note": "NaN \" NaN", "metrics": )"
             R"({"top1": NaN, "loss": -Infinity}}})",
             "here");
  EXPECT_EQ(message.type, Type::kFailed);
  EXPECT_EQ(message.attempt, "k.1");
  EXPECT_EQ(message.failure.kind, "method");
  EXPECT_THAT(message.failure.message,
              ::testing::AnyOf(HasSubstr("result.metrics.top1 is NaN"),
                               HasSubstr("result.metrics.loss is -Infinity")));
  EXPECT_THAT(message.failure.message, HasSubstr("send null"));
}

TEST(Nonfinite, a_metric_for_display_may_be_undefined) {
  for (const char* value : {"null", "NaN", "Infinity"}) {
    const Message message = decode(
        std::string(R"({"type": "metric", "attempt": "k.1", "name": "x", "step": 1, "value": )") +
            value + "}",
        "here");
    EXPECT_EQ(message.type, Type::kMetric);
    EXPECT_TRUE(std::isnan(message.value)) << value;
  }
}

TEST(Nonfinite, other_messages_with_such_numbers_are_malformed) {
  EXPECT_THAT(
      decode_error(R"({"type": "progress", "attempt": "a", "done": NaN, "total": 1, "unit": ""})"),
      HasSubstr("done is NaN: JSON has no such number"));
  EXPECT_THAT(decode_error(R"({"type": "done", "attempt": "a", "result": {"x": NaN})"),
              HasSubstr("not valid JSON"))
      << "a line with other faults stays malformed";
}

}  // namespace
}  // namespace assay::protocol
