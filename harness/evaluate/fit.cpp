#include "harness/evaluate/fit.h"

#include <fmt/format.h>

#include <string>

#include "harness/base/error.h"

namespace assay::evaluate {

void require_classes(const models::NetworkInfo& info, std::int64_t classes) {
  if (classes <= info.outputs) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("the data set has {} classes, the network {} outputs; name the data that "
                          "the network was trained for, or a network with {} outputs",
                          classes, info.outputs, classes),
              {{"field", "classes"}, {"value", std::to_string(classes)}});
}

void require_every_class(const models::NetworkInfo& info, std::int64_t classes) {
  if (classes == info.outputs) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("the data set has {} classes, the network {} outputs; name the class of "
                          "every output in a file, 'classes: FILE' of the data entry",
                          classes, info.outputs),
              {{"field", "classes"}, {"value", std::to_string(classes)}});
}

void require_image_shape(const models::NetworkInfo& info, const std::vector<std::int64_t>& shape) {
  if (info.input.size() != 3 || shape.size() != 3) return;
  if (shape[1] != info.input[1] || shape[2] != info.input[2]) {
    throw Error(ErrorKind::kConfig,
                fmt::format("images of {} x {} pixels, the network takes {} x {}; name a "
                            "`preprocess` that gives that size (image folders), or other data",
                            shape[2], shape[1], info.input[2], info.input[1]),
                {{"field", "size"}, {"value", fmt::format("{}x{}", shape[2], shape[1])}});
  }
  if (shape[0] != info.input[0] && shape[0] != 1) {
    throw Error(ErrorKind::kConfig,
                fmt::format("images of {} channels, the network takes {}; name other data or "
                            "another network",
                            shape[0], info.input[0]),
                {{"field", "channels"}, {"value", std::to_string(shape[0])}});
  }
}

void require_context(const models::NetworkInfo& info, std::int64_t context) {
  if (info.context <= 0 || context <= info.context) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("context {}; the network takes at most {} tokens; write context: {} or "
                          "less, or 0 for the network's own",
                          context, info.context, info.context),
              {{"field", "context"}, {"value", std::to_string(context)}});
}

void require_length(const models::NetworkInfo& info, std::int64_t tokens) {
  if (info.task != models::Task::kLanguage || info.context <= 0 || tokens <= info.context) return;
  throw Error(ErrorKind::kConfig,
              fmt::format("tokens: {}; the network takes at most {} tokens; write "
                          "tokens: {} or less",
                          tokens, info.context, info.context),
              {{"field", "tokens"}, {"value", std::to_string(tokens)}});
}

void require_vocabulary(const models::NetworkInfo& info, std::int64_t largest) {
  if (largest < info.outputs) return;
  throw Error(ErrorKind::kData,
              fmt::format("the text holds token id {}, the network's vocabulary has {}; take the "
                          "tokenizer that belongs to the weights",
                          largest, info.outputs),
              {{"field", "vocab_size"}, {"value", std::to_string(info.outputs)}});
}

void check_images(const models::NetworkInfo* info, const datasets::DataHeaders* data,
                  Findings& findings) {
  if (info == nullptr || data == nullptr) return;
  findings.attempt("data", [&] { require_image_shape(*info, data->shape); });
  findings.attempt("data", [&] { require_classes(*info, data->classes); });
}

void check_tokens(const models::NetworkInfo* info, const datasets::TokenFacts* tokens,
                  Findings& findings, std::int64_t needed, std::int64_t context) {
  if (tokens == nullptr) return;
  if (info != nullptr) {
    findings.attempt("model", [&] { require_vocabulary(*info, tokens->largest_id); });
  }
  if (tokens->most_tokens < 0 || tokens->most_tokens >= needed) return;
  findings.add("data",
               Error(ErrorKind::kConfig,
                     fmt::format("the text has at most {} tokens, not enough for one window "
                                 "of {}; write a smaller context, or name a longer text",
                                 tokens->most_tokens, context),
                     {{"field", "context"}, {"value", std::to_string(context)}}));
}

}  // namespace assay::evaluate
