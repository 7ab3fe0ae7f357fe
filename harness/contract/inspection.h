#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "harness/base/error.h"
#include "harness/base/json.h"

// What a provider is asked about the stages of a plan before anything runs, and what it answers
// (docs/formats/protocol.md, `inspect`). A provider answers from headers, not from whole files.

namespace assay {

// One distinct stage: stages that differ in seeds and shards alone are one question.
struct Question {
  std::string provider;  // that would run it; others need not answer
  std::string stage;
  Json recipe = Json::object();     // as of `run`, without "seed", "shard", "unshared", "inputs"
  Json locations = Json::object();  // as of `run`
  std::map<std::string, std::size_t> inputs;  // input name -> index of an earlier question

  bool operator==(const Question&) const = default;
};

// Something that would fail if the stage ran.
struct Refusal {
  std::string about;  // part of the sweep at fault: "model", "data", "method", "metric" or "run"
  ErrorKind kind = ErrorKind::kConfig;
  std::string message;     // what, the value, the legal values and the mend
  std::string file = "";   // that it was found in, or ""
  std::string field = "";  // the parameter, tensor or member of that file, or ""
  std::string value = "";

  bool operator==(const Refusal&) const = default;
};

// Of a file of questions or answers.
inline constexpr std::size_t kMostInspectionBytes = std::size_t{64} << 20;

struct Answer {
  std::vector<Refusal> refusals;
  // What was learned cheaply: "model" {parameters, dtype, bytes, context, outputs}, "data" {images,
  // classes, input, bytes}, each a number or a text.
  Json facts = Json::object();

  bool operator==(const Answer&) const = default;
};

// Collects what is refused; an error that is thrown becomes a refusal about `about`.
class Findings {
 public:
  explicit Findings(Answer& answer) : answer_(answer) {}

  // False: it was refused.
  bool attempt(const char* about, const std::function<void()>& check);
  // Once, however often it is found.
  void add(const char* about, const Error& error);

 private:
  Answer& answer_;
};

// The refusal that an error amounts to: "file", and "field", "parameter" or "tensor" of its
// context.
Refusal refusal_from(const Error& error, const std::string& about);

Json to_json(const Question& question);
Json to_json(const Answer& answer);

// Request and answer files: {"questions": [...]} and {"answers": [...]}, one answer for each
// question in their order. Reading throws Error(kData) naming `path` and the member that is missing
// or of a wrong type, and what the bounds are (64 MiB, a million questions).
void write_questions(const std::filesystem::path& path, const std::vector<Question>& questions);
std::vector<Question> read_questions(const std::filesystem::path& path);
void write_answers(const std::filesystem::path& path, const std::vector<Answer>& answers);
// `expected`: the number of questions.
std::vector<Answer> read_answers(const std::filesystem::path& path, std::size_t expected);
Answer answer_from(const Json& json, const std::string& where);

}  // namespace assay
