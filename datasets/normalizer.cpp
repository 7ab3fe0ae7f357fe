#include "datasets/normalizer.h"

#include <fmt/format.h>

#include <optional>

#include "harness/base/error.h"
#include "harness/base/json_members.h"

namespace assay::datasets {
namespace {

std::optional<UnicodeForm> form_named(const std::string& name) {
  if (name == "NFC") return UnicodeForm::kNfc;
  if (name == "NFD") return UnicodeForm::kNfd;
  if (name == "NFKC") return UnicodeForm::kNfkc;
  if (name == "NFKD") return UnicodeForm::kNfkd;
  return std::nullopt;
}

}  // namespace

Normalizer::Normalizer(const Json& json, const std::string& what) {
  if (!json.is_null()) {
    add(json, what);
  }
}

Normalizer Normalizer::of_form(UnicodeForm form) {
  Normalizer result;
  result.steps_.push_back({.kind = Kind::kForm, .from = "", .to = "", .form = form});
  return result;
}

void Normalizer::add(const Json& json, const std::string& what) {
  const std::string type = text_member(json, "type", what + ": normalizer");
  const std::string where = fmt::format("{}: normalizer {}", what, type);
  Step step;
  if (type == "Sequence") {
    for (const Json& part : list_member(json, "normalizers", where)) {
      add(part, what);
    }
    return;
  }
  if (type == "Prepend") {
    step.kind = Kind::kPrepend;
    step.to = text_member_or(json, "prepend", "", where);
    prepends_ = true;
  } else if (type == "Replace") {
    step.from = text_member_or(object_member(json, "pattern", where), "String", "", where);
    step.to = text_member_or(json, "content", "", where);
    if (step.from.empty()) {
      throw Error(ErrorKind::kUnsupported, where + " with an expression is not supported");
    }
    space_ = step.from == " " ? step.to : space_;
  } else if (const auto form = form_named(type)) {
    step.kind = Kind::kForm;
    step.form = *form;
  } else {
    throw Error(
        ErrorKind::kUnsupported,
        where + " is not supported; supported: Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD");
  }
  steps_.push_back(std::move(step));
}

AlignedText Normalizer::operator()(AlignedText text) const {
  for (const Step& step : steps_) {
    if (step.kind == Kind::kForm) {
      text = in_form(std::move(text), step.form);
    } else if (step.kind == Kind::kReplace) {
      text = replaced(std::move(text), step.from, step.to);
    } else if (!text.empty()) {
      text = prepended(std::move(text), step.to);
    }
  }
  return text;
}

}  // namespace assay::datasets
