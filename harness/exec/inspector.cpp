#include "harness/exec/inspector.h"

#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "datasets/tokenizer.h"
#include "harness/base/utf8.h"
#include "harness/contract/network_chain.h"
#include "harness/contract/stage_files.h"
#include "harness/exec/environment.h"
#include "harness/exec/inspection_scene.h"
#include "harness/formats/checkpoint_layout.h"

namespace assay::exec {
namespace {

constexpr const char* kProvider = "assay";
constexpr const char* kTokenize = "tokenize";
constexpr std::size_t kTokenizedBytes = 16384;
// A token takes a byte of text or more, but joining rows may double a byte, and a normaliser make
// three of one.
constexpr std::int64_t kMostTokensOfByte = 6;
constexpr std::int64_t kTokensBeside = 16;

using Network = std::shared_ptr<const models::NetworkHeaders>;
using Data = std::shared_ptr<const datasets::DataHeaders>;
using Tokenizer = std::shared_ptr<const datasets::Tokenizer>;

// What was found for a question, for those that take its stage as input.
struct Known {
  Data data;
  std::shared_ptr<const datasets::TokenFacts> tokens;
  Rounding rounding;  // of the network that it makes
};

// A member of a question that several share: they look at it once.
std::string identity_of(const Question& question, const char* member) {
  return question.recipe.value(member, Json()).dump() +
         question.locations.value(member, Json()).dump();
}

// Whether a text is one document as it is stored, but for what is cut off.
bool is_one_document(const Json& data) {
  const Json parameters = data.value("parameters", Json::object());
  return parameters.value("join", std::string("file")) == "file" &&
         parameters.value("separator", std::string()).empty();
}

// The device and the precision that a run asks for. Threads and instruction sets are matters of the
// hosts that run it.
void require_device(const Json& recipe) {
  const Numerics numerics = numerics_from(recipe);
  apply_numerics({.device = numerics.device, .precision = numerics.precision});
}

class Inspector {
 public:
  std::vector<Answer> inspect(const std::vector<Question>& questions) {
    const at::NoGradGuard no_gradients;
    std::vector<Answer> answers;
    for (const Question& question : questions) {
      Answer& answer = answers.emplace_back();
      // Until it is found out.
      known_.emplace_back().rounding = {
          .weights = std::nullopt, .activations = std::nullopt, .cache = std::nullopt};
      if (question.provider != kProvider) continue;
      Findings findings(answer);
      // Whatever goes wrong is an answer: one malformed question must not hide the others.
      findings.attempt("run", [&] { look(question, findings, answer.facts); });
    }
    return answers;
  }

 private:
  void look(const Question& question, Findings& findings, Json& facts) {
    const QuestionContext context(question);
    findings.attempt("run", [&] { require_device(question.recipe); });
    const Network network = network_of(question, context, findings, facts);
    known_.back().data = data_of(question, context, findings, facts);
    if (question.stage == kTokenize) {
      known_.back().tokens = tokens_of(question, context, findings);
    }
    const Known* images = input_of(question, "images");
    const Known* tokens = input_of(question, "tokens");
    // Windows are drawn from the tokens of a text: what takes them is told of the text too.
    if (tokens != nullptr && question.stage != kTokenize) known_.back().tokens = tokens->tokens;
    const Data data = known_.back().data != nullptr ? known_.back().data
                      : images != nullptr           ? images->data
                                                    : nullptr;
    const Rounding before = rounding_before(question);
    check_stage({.question = question,
                 .context = context,
                 .network = network == nullptr ? nullptr : network->network.get(),
                 .data = data.get(),
                 .tokens = tokens == nullptr ? nullptr : tokens->tokens.get(),
                 .before = before},
                findings);
    findings.attempt("method", [&] {
      const auto own = rounding_of(question, context);
      known_.back().rounding = own ? joined(before, *own) : before;
    });
  }

  // What two methods round.
  static Rounding joined(const Rounding& a, const Rounding& b) {
    const auto either = [](std::optional<bool> x, std::optional<bool> y) -> std::optional<bool> {
      if (x == true || y == true) return true;
      return x && y ? std::optional(false) : std::nullopt;
    };
    return {.weights = either(a.weights, b.weights),
            .activations = either(a.activations, b.activations),
            .cache = either(a.cache, b.cache),
            .bits = {.weights = std::min(a.bits.weights, b.bits.weights),
                     .activations = std::min(a.bits.activations, b.bits.activations),
                     .cache = std::min(a.bits.cache, b.bits.cache)},
            .prefix = std::max(a.prefix, b.prefix),
            .rotated = a.rotated || b.rotated};
  }

  Rounding rounding_before(const Question& question) const {
    Rounding all;
    for (const auto& [name, index] : question.inputs) {
      if (is_network_input(name)) all = joined(all, known_[index].rounding);
    }
    return all;
  }

  const Known* input_of(const Question& question, const char* name) const {
    const auto found = question.inputs.find(name);
    return found == question.inputs.end() ? nullptr : &known_[found->second];
  }

  // The headers of the network that a stage reads; null for a stage that reads none, and for one
  // that reads the tokenizer alone.
  Network network_of(const Question& question, const QuestionContext& context, Findings& findings,
                     Json& facts) {
    const Json model = question.recipe.value("model", Json::object());
    const FileSet files = model_files(context);
    const bool from_configuration = model.contains("config");
    if (question.stage == kTokenize || (!from_configuration && files.of_role(kWeightsRole).empty()))
      return nullptr;
    Network& headers = networks_[identity_of(question, "model")];
    if (headers == nullptr) {
      const std::string family = model.value("family", std::string());
      headers = std::make_shared<models::NetworkHeaders>(
          from_configuration ? models::headers_of_configuration(family, model["config"])
                             : models::read_headers(files, family));
    }
    for (const Error& problem : headers->problems) findings.add("model", problem);
    if (headers->network != nullptr) facts["model"] = facts_of(*headers);
    return headers;
  }

  static Json facts_of(const models::NetworkHeaders& headers) {
    const models::NetworkInfo& info = headers.network->info();
    Json facts = {{"parameters", headers.parameters}, {"outputs", info.outputs}};
    if (!headers.dtype.empty()) facts["dtype"] = headers.dtype;
    if (headers.bytes > 0) facts["bytes"] = headers.bytes;
    if (info.context > 0) facts["context"] = info.context;
    if (!info.input.empty()) facts["input"] = fmt::format("{}", fmt::join(info.input, "x"));
    return facts;
  }

  Data data_of(const Question& question, const QuestionContext& context, Findings& findings,
               Json& facts) {
    if (!question.recipe.contains("data")) return nullptr;
    Data& headers = data_[identity_of(question, "data")];
    if (headers == nullptr) {
      headers = std::make_shared<datasets::DataHeaders>(
          datasets::read_headers(question.recipe["data"], data_files(context)));
    }
    for (const Error& problem : headers->problems) findings.add("data", problem);
    Json& data = facts["data"];
    data = Json::object();
    if (headers->bytes > 0) data["bytes"] = headers->bytes;
    if (headers->images > 0) data["images"] = headers->images;
    if (headers->classes > 0) data["classes"] = headers->classes;
    if (!headers->shape.empty()) {
      data["input"] = fmt::format("{}", fmt::join(headers->shape, "x"));
    }
    return headers;
  }

  // The tokenizer is read whole, which shows every part that is not supported; of the text the
  // beginning is tokenized.
  std::shared_ptr<const datasets::TokenFacts> tokens_of(const Question& question,
                                                        const QuestionContext& context,
                                                        Findings& findings) {
    auto facts = std::make_shared<datasets::TokenFacts>();
    findings.attempt("model", [&] {
      Tokenizer& tokenizer = tokenizers_[identity_of(question, "model")];
      const FileSet files = model_files(context);
      if (tokenizer == nullptr) {
        tokenizer = files.empty() ? datasets::byte_tokenizer() : datasets::open_tokenizer(files);
      }
      facts->has_bos = tokenizer->bos().has_value();
      const Data& data = known_.back().data;
      if (data == nullptr) return;
      const std::string_view beginning = beginning_of(*data);
      const std::vector<std::int32_t> ids = tokenizer->encode_text(beginning);
      if (!ids.empty()) facts->largest_id = *std::max_element(ids.begin(), ids.end());
      if (is_one_document(question.recipe["data"]) &&
          data->characters == static_cast<std::int64_t>(beginning.size())) {
        facts->most_tokens = static_cast<std::int64_t>(ids.size());
      } else if (data->characters >= 0) {
        facts->most_tokens = kMostTokensOfByte * data->characters + kTokensBeside;
      }
    });
    return facts;
  }

  static std::string_view beginning_of(const datasets::DataHeaders& data) {
    return utf8_prefix(data.beginning, kTokenizedBytes);
  }

  std::map<std::string, Network> networks_;
  std::map<std::string, Data> data_;
  std::map<std::string, Tokenizer> tokenizers_;
  std::vector<Known> known_;  // by question
};

}  // namespace

std::vector<Answer> inspect(const std::vector<Question>& questions) {
  return Inspector().inspect(questions);
}

}  // namespace assay::exec
