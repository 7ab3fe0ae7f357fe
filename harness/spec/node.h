#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"
#include "harness/spec/place.h"

namespace assay::spec {

struct Member;

// A value of a YAML document, with its place. A tree: aliases are expanded when it is parsed.
struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };

  Kind kind = Kind::kNull;
  bool plain = true;  // a scalar without quotes: may mean a number or a truth value
  std::string text;   // of a scalar
  std::vector<Node> items;
  std::vector<Member> members;  // in the order of the file; keys are unique
  Place place;

  bool is_null() const { return kind == Kind::kNull; }
  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_map() const { return kind == Kind::kMap; }

  Node* find(std::string_view key);
  const Node* find(std::string_view key) const;

  // "a list", "a map", "'abc'": the value as errors show it.
  std::string shown() const;
};

struct Member {
  std::string key;
  Place place;  // of the key
  Node value;
};

// The value by the core schema of YAML 1.2: plain true, null, 12, 0x1f, 1e-3 are typed, the rest is
// text.
Json to_json(const Node& node);

// Text of a scalar. Refuses anything else; `what` names the value in the error.
const std::string& text_of(const Node& node, std::string_view what);
std::int64_t integer_of(const Node& node, std::string_view what, std::int64_t minimum,
                        std::int64_t maximum);

// A scalar is a list of one. Refuses maps and an empty list.
std::vector<Node*> list_of(Node& node, std::string_view what);

// Reads a map and sees to it that every key is read by somebody.
class Fields {
 public:
  // `what` names the map in errors: "model 'opt_125m'". Refuses what is not a map.
  Fields(Node& node, std::string what);

  // The value of `key`, or nullptr; from now on `key` is legal.
  Node* take(std::string_view key);
  Node& require(std::string_view key);

  // Members that nobody has taken yet, in the order of the file.
  std::vector<Member*> rest();
  // Adds names that suggestions may offer.
  void allow(const std::vector<std::string>& keys);
  // Refuses the first key that nobody took, with the nearest legal one.
  void finish();
  [[noreturn]] void refuse_key(const Member& member) const;

  const Place& place() const { return node_.place; }

 private:
  Node& node_;
  std::string what_;
  std::vector<std::string> legal_;
  std::vector<bool> taken_;
};

}  // namespace assay::spec
