#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "harness/base/json.h"

// Members of a JSON object that came from outside, of the type that the reader expects:
//
//   const std::string type = text_member(json, "type", "tokenizer.json: model");
//   const bool fuse = flag_member_or(json, "fuse_unk", false, "tokenizer.json: model");
//
// `what` names the object in errors. A member that is missing or of another type throws
// Error(kData): "tokenizer.json: model: 'type' must be a text, not 3". The forms with `otherwise`
// give that for a member that is missing or null.

namespace assay {

// The member, or null if it is not there or `json` is no object.
const Json& member(const Json& json, std::string_view name);

std::string text_member(const Json& json, std::string_view name, std::string_view what);
std::string text_member_or(const Json& json, std::string_view name, std::string_view otherwise,
                           std::string_view what);
bool flag_member(const Json& json, std::string_view name, std::string_view what);
bool flag_member_or(const Json& json, std::string_view name, bool otherwise, std::string_view what);
std::int64_t integer_member(const Json& json, std::string_view name, std::string_view what);
double number_member(const Json& json, std::string_view name, std::string_view what);
const Json& list_member(const Json& json, std::string_view name, std::string_view what);
const Json& object_member(const Json& json, std::string_view name, std::string_view what);
// An empty object if it is missing.
const Json& object_member_or_empty(const Json& json, std::string_view name, std::string_view what);
std::map<std::string, std::string> texts_member(const Json& json, std::string_view name,
                                                std::string_view what);

// The start of a value's text, for messages: at most 100 characters.
std::string shown(const Json& value);

}  // namespace assay
