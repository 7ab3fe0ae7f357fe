// docs/formats/protocol.md and protocol.schema.json say what harness/contract/protocol.h does:
// every message type and every field of it, no more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>

#include "harness/base/atomic_file.h"
#include "harness/base/json.h"
#include "harness/contract/protocol.h"

namespace assay::protocol {
namespace {

// One of each type with every field set.
std::vector<Message> one_of_each() {
  Message m;
  m.attempt = "k.1";
  m.version = kVersion;
  m.provider = "p";
  m.pid = 1;
  m.prepares = true;
  m.path = "/p";
  m.answer = "/a";
  m.progress = {1, 2, "steps"};
  m.name = "loss";
  m.value = 0.5;
  m.step = 3;
  m.result = {{"metrics", {{"top1", 1.0}}}};
  m.failure = {"method", "why", {{"layer", "fc"}}};
  m.run = {"k.1", "s", "k", {{"seed", 1}}, {{"data", Json::object()}}, {{"a", "/a"}}, "/o", "/r"};
  m.grace_s = 5;
  std::vector<Message> all;
  for (int type = 0; type <= static_cast<int>(Type::kExit); ++type) {
    m.type = static_cast<Type>(type);
    // Only what is about a run names an attempt.
    const std::set<Type> about_none{Type::kHello,    Type::kDescribe,  Type::kDescribed,
                                    Type::kInspect,  Type::kInspected, Type::kPrepare,
                                    Type::kPrepared, Type::kExit};
    m.attempt = about_none.contains(m.type) ? "" : "k.1";
    all.push_back(m);
  }
  return all;
}

Json schema() {
  return parse_json(read_file("docs/formats/protocol.schema.json"), "protocol.schema.json");
}

// What the schema's keywords that it uses mean; "" if `value` fits.
std::string misfit(const Json& value, const Json& rule, const Json& root) {
  if (rule.contains("$ref")) {
    const std::string ref = rule["$ref"];
    return misfit(value, root.at(Json::json_pointer(ref.substr(1))), root);
  }
  const auto is = [&](const std::string& type) {
    return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
           (type == "string" && value.is_string()) || (type == "number" && value.is_number()) ||
           (type == "integer" && value.is_number_integer()) ||
           (type == "boolean" && value.is_boolean());
  };
  if (rule.contains("type") && !is(rule["type"]))
    return value.dump() + " is no " + rule["type"].dump();
  if (rule.contains("const") && value != rule["const"])
    return value.dump() + " is not the constant";
  if (rule.contains("enum") &&
      std::find(rule["enum"].begin(), rule["enum"].end(), value) == rule["enum"].end())
    return value.dump() + " is none of the choices";
  if (value.is_array() && rule.contains("items")) {
    for (const Json& item : value) {
      if (const std::string why = misfit(item, rule["items"], root); !why.empty()) return why;
    }
  }
  if (!value.is_object()) return "";
  const Json properties = rule.value("properties", Json::object());
  for (const Json& name : rule.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return "lacks " + name.dump();
  }
  const Json others = rule.value("additionalProperties", Json(true));
  for (const auto& item : value.items()) {
    if (!properties.contains(item.key())) {
      if (others == Json(false)) return "has an unknown member " + item.key();
      if (others.is_object()) {
        if (const std::string why = misfit(item.value(), others, root); !why.empty()) return why;
      }
      continue;
    }
    if (const std::string why = misfit(item.value(), properties[item.key()], root); !why.empty())
      return item.key() + ": " + why;
  }
  return "";
}

TEST(ProtocolDocument, the_schema_has_every_message_with_all_of_its_fields) {
  const Json root = schema();
  std::set<std::string> known;
  for (const auto& item : root.at("$defs").items()) {
    if (item.value().contains("properties") && item.value()["properties"].contains("type"))
      known.insert(item.key());
  }
  std::set<std::string> offered;
  for (const Json& each : root.at("oneOf")) offered.insert(each.at("$ref").get<std::string>());
  for (const Message& message : one_of_each()) {
    const std::string type(name_of(message.type));
    ASSERT_EQ(known.erase(type), 1u) << type;
    EXPECT_EQ(offered.erase("#/$defs/" + type), 1u) << type;
    const Json rule = root["$defs"][type];
    const Json sent = parse_json(encode(message), "test");
    EXPECT_EQ(misfit(sent, rule, root), "") << type;
    std::set<std::string> described;
    for (const auto& item : rule["properties"].items()) described.insert(item.key());
    std::set<std::string> fields;
    for (const auto& item : sent.items()) fields.insert(item.key());
    EXPECT_EQ(described, fields) << type;
    for (const Json& name : rule["required"]) {
      Json less = sent;
      less.erase(name.get<std::string>());
      EXPECT_ANY_THROW(decode(less.dump(), "test")) << type << " without " << name;
      EXPECT_NE(misfit(less, rule, root), "") << "the check can fail";
    }
  }
  EXPECT_TRUE(known.empty()) << "the schema knows more messages than the protocol";
  EXPECT_TRUE(offered.empty());
}

TEST(ProtocolDocument, optional_fields_may_be_left_out) {
  const Json root = schema();
  for (const Message& message : one_of_each()) {
    const std::string type(name_of(message.type));
    const Json rule = root["$defs"][type];
    Json least = parse_json(encode(message), "test");
    for (const auto& item : rule["properties"].items()) {
      const Json& required = rule["required"];
      if (std::find(required.begin(), required.end(), item.key()) == required.end())
        least.erase(item.key());
    }
    EXPECT_NO_THROW(decode(least.dump(), "test")) << type;
  }
}

TEST(ProtocolDocument, the_page_shows_a_valid_example_of_every_message) {
  const Json root = schema();
  const std::string page = read_file("docs/formats/protocol.md");
  std::set<std::string> shown;
  std::size_t at = 0;
  while ((at = page.find("\n{\"type\"", at)) != std::string::npos) {
    const std::size_t end = page.find('\n', at + 1);
    const std::string line = page.substr(at + 1, end - at - 1);
    const Json example = parse_json(line, "example of protocol.md");
    const std::string type = example["type"];
    shown.insert(type);
    EXPECT_NO_THROW(decode(line, "protocol.md")) << line;
    EXPECT_EQ(misfit(example, root["$defs"][type], root), "") << line;
    at = end;
  }
  std::set<std::string> all;
  for (const Message& message : one_of_each()) all.emplace(name_of(message.type));
  EXPECT_EQ(shown, all);
}

}  // namespace
}  // namespace assay::protocol
