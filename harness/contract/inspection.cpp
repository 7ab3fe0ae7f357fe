#include "harness/contract/inspection.h"

#include <fmt/format.h>

#include <algorithm>

#include "harness/base/atomic_file.h"
#include "harness/base/json_members.h"

namespace assay {
namespace {

constexpr std::size_t kMaxQuestions = 1'000'000;

[[noreturn]] void refuse_message(const std::string& where, const std::string& problem) {
  throw Error(ErrorKind::kData, fmt::format("{}: {}", where, problem), {{"file", where}});
}

const Json& list(const Json& json, const char* name, const std::string& where) {
  const Json& value = list_member(json, name, where);
  if (value.size() > kMaxQuestions) {
    refuse_message(where, fmt::format("'{}' has {} elements; at most {} are read", name,
                                      value.size(), kMaxQuestions));
  }
  return value;
}

Question question_from(const Json& json, std::size_t index, const std::string& where) {
  Question question{.provider = text_member(json, "provider", where),
                    .stage = text_member(json, "stage", where),
                    .recipe = object_member_or_empty(json, "recipe", where),
                    .locations = object_member_or_empty(json, "locations", where)};
  const Json& inputs = object_member_or_empty(json, "inputs", where);
  for (const auto& [name, value] : inputs.items()) {
    if (!value.is_number_unsigned() || value.get<std::size_t>() >= index) {
      refuse_message(
          where, fmt::format("input '{}' is {}; expected the index of an earlier question", name,
                             value.dump().substr(0, 100)));
    }
    question.inputs[name] = value.get<std::size_t>();
  }
  return question;
}

Refusal refusal_from(const Json& json, const std::string& where) {
  Refusal refusal{.about = text_member(json, "about", where),
                  .message = text_member(json, "message", where),
                  .file = text_member_or(json, "file", "", where),
                  .field = text_member_or(json, "field", "", where),
                  .value = text_member_or(json, "value", "", where)};
  const std::string kind = text_member(json, "kind", where);
  const auto known = error_kind_from(kind);
  if (!known) refuse_message(where, fmt::format("kind '{}' is not known", kind));
  refusal.kind = *known;
  for (const char* legal : {"model", "data", "method", "metric", "run"}) {
    if (refusal.about == legal) return refusal;
  }
  refuse_message(where, fmt::format("'about' is '{}'; legal: model, data, method, metric, run",
                                    refusal.about));
}

Json to_json(const Refusal& refusal) {
  Json json = {
      {"about", refusal.about}, {"kind", name_of(refusal.kind)}, {"message", refusal.message}};
  if (!refusal.file.empty()) json["file"] = refusal.file;
  if (!refusal.field.empty()) json["field"] = refusal.field;
  if (!refusal.value.empty()) json["value"] = refusal.value;
  return json;
}

template <typename Element>
void write(const std::filesystem::path& path, const char* name,
           const std::vector<Element>& elements) {
  Json array = Json::array();
  for (const Element& element : elements) array.push_back(to_json(element));
  // Names of files are bytes; a message that quotes one need not be UTF-8.
  write_file_atomically(
      path, Json{{name, std::move(array)}}.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

Refusal refusal_from(const Error& error, const std::string& about) {
  Refusal refusal{.about = about, .kind = error.kind(), .message = error.what()};
  for (const auto& [name, value] : error.context()) {
    if (name == "file" || name == "path") refusal.file = value;
    if (name == "field" || name == "parameter" || name == "tensor") refusal.field = value;
    if (name == "value") refusal.value = value;
  }
  return refusal;
}

Json to_json(const Question& question) {
  return {{"provider", question.provider},
          {"stage", question.stage},
          {"recipe", question.recipe},
          {"locations", question.locations},
          {"inputs", question.inputs}};
}

Json to_json(const Answer& answer) {
  Json refusals = Json::array();
  for (const Refusal& refusal : answer.refusals) refusals.push_back(to_json(refusal));
  return {{"refusals", std::move(refusals)}, {"facts", answer.facts}};
}

Answer answer_from(const Json& json, const std::string& where) {
  Answer answer{.facts = object_member_or_empty(json, "facts", where)};
  if (!json.contains("refusals")) return answer;
  for (const Json& refusal : list(json, "refusals", where)) {
    answer.refusals.push_back(refusal_from(refusal, where));
  }
  return answer;
}

void write_questions(const std::filesystem::path& path, const std::vector<Question>& questions) {
  write(path, "questions", questions);
}

std::vector<Question> read_questions(const std::filesystem::path& path) {
  const Json json = parse_json(read_file(path, kMostInspectionBytes), path.string());
  std::vector<Question> questions;
  for (const Json& each : list(json, "questions", path.string())) {
    questions.push_back(question_from(
        each, questions.size(), fmt::format("{}: questions[{}]", path.string(), questions.size())));
  }
  return questions;
}

void write_answers(const std::filesystem::path& path, const std::vector<Answer>& answers) {
  write(path, "answers", answers);
}

std::vector<Answer> read_answers(const std::filesystem::path& path, std::size_t expected) {
  const Json json = parse_json(read_file(path, kMostInspectionBytes), path.string());
  std::vector<Answer> answers;
  for (const Json& each : list(json, "answers", path.string())) {
    answers.push_back(
        answer_from(each, fmt::format("{}: answers[{}]", path.string(), answers.size())));
  }
  if (answers.size() != expected) {
    refuse_message(path.string(),
                   fmt::format("{} answers to {} questions", answers.size(), expected));
  }
  return answers;
}

bool Findings::attempt(const char* about, const std::function<void()>& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    add(about, error);
  } catch (const std::exception& error) {
    add(about, Error(ErrorKind::kMethod, error.what()));
  }
  return false;
}

void Findings::add(const char* about, const Error& error) {
  Refusal refusal = refusal_from(error, about);
  if (std::find(answer_.refusals.begin(), answer_.refusals.end(), refusal) ==
      answer_.refusals.end()) {
    answer_.refusals.push_back(std::move(refusal));
  }
}

}  // namespace assay
