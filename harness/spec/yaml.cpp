#include "harness/spec/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/emitter.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "harness/base/utf8.h"

namespace assay::spec {
namespace {

std::size_t count_nodes(const Node& node) {
  std::size_t count = 1;
  for (const Node& item : node.items) count += count_nodes(item);
  for (const Member& member : node.members) count += count_nodes(member.value);
  return count;
}

// Builds the tree from yaml-cpp's events, so that limits hold before memory is taken.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::shared_ptr<const std::string> file, const YamlLimits& limits)
      : file_(std::move(file)), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(node_at(mark, Node::Kind::kNull), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) refuse(place(mark), "an alias inside its own anchor");
    nodes_ += found->second.count;
    check_budget(mark);
    if (open_.size() + found->second.depth > limits_.max_depth) refuse_depth(mark);
    Node copy = found->second.node;
    copy.place = place(mark);
    add(std::move(copy), 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check_tag(mark, tag);
    Node node = node_at(mark, Node::Kind::kScalar);
    node.plain = tag != "!" && tag != kTextTag;
    last_scalar_ = mark;
    node.text = value;
    if (node.plain &&
        (value.empty() || value == "~" || value == "null" || value == "Null" || value == "NULL")) {
      node.kind = Node::Kind::kNull;
    }
    add(std::move(node), anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kList);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, Node::Kind::kMap);
  }
  void OnMapEnd() override { close(); }

  Node take_root() { return std::move(root_); }

  // yaml-cpp takes the end of the file for the end of a quoted text. Only the last text can have
  // been ended so.
  void check_last_quote(std::string_view text) const {
    const auto start = static_cast<std::size_t>(std::max(last_scalar_.pos, 0));
    if (start >= text.size() || (text[start] != '"' && text[start] != '\'')) return;
    const char quote = text[start];
    for (std::size_t i = start + 1; i < text.size(); ++i) {
      const bool escape = quote == '"' ? text[i] == '\\'
                                       : text[i] == quote && text.substr(i + 1).starts_with(quote);
      if (escape) {
        ++i;
      } else if (text[i] == quote) {
        return;
      }
    }
    refuse(place(last_scalar_), "a quote that is never closed");
  }

 private:
  static constexpr const char* kTextTag = "tag:yaml.org,2002:str";
  static constexpr const char* kMergeKey = "<<";

  struct Open {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    Member pending;
    bool merges = false;  // the pending key is `<<`
    std::set<std::string> keys;
    std::vector<Member> merged;  // of merge keys, those that come first win
    std::size_t height = 1;
  };
  struct Anchor {
    Node node;
    std::size_t count = 1;
    std::size_t depth = 1;
  };

  Place place(const YAML::Mark& mark) const { return {file_, mark.line + 1, mark.column + 1}; }

  Node node_at(const YAML::Mark& mark, Node::Kind kind) {
    ++nodes_;
    check_budget(mark);
    Node node;
    node.kind = kind;
    node.place = place(mark);
    return node;
  }

  void check_budget(const YAML::Mark& mark) const {
    if (nodes_ > limits_.max_nodes) {
      refuse(place(mark), fmt::format("more than {} values (aliases count where they are used); "
                                      "write axes as lists and let Assay expand them",
                                      limits_.max_nodes));
    }
  }

  [[noreturn]] void refuse_depth(const YAML::Mark& mark) const {
    refuse(place(mark), fmt::format("nested deeper than {} levels", limits_.max_depth));
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (tag.empty() || tag == "?" || tag == "!" || tag == kTextTag) return;
    refuse(place(mark), fmt::format("tag '{}' is not used in sweep files; remove it", tag), tag);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            Node::Kind kind) {
    check_tag(mark, tag);
    if (!open_.empty() && open_.back().node.is_map() && !open_.back().has_key) {
      refuse(place(mark),
             "a key must be a text, not a list or a map; or a bracket is never closed");
    }
    if (open_.size() >= limits_.max_depth) refuse_depth(mark);
    Open opened;
    opened.node = node_at(mark, kind);
    opened.anchor = anchor;
    open_.push_back(std::move(opened));
  }

  void close() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (!closed.merged.empty()) lay_over(closed.node, std::move(closed.merged));
    if (!open_.empty()) open_.back().height = std::max(open_.back().height, closed.height + 1);
    add(std::move(closed.node), closed.anchor, closed.height);
  }

  void add(Node node, YAML::anchor_t anchor, std::size_t height = 1) {
    if (anchor != 0) {
      const std::size_t count = count_nodes(node);
      // The copy that is kept for aliases counts too, or anchors in anchors would grow unseen.
      nodes_ += count;
      if (nodes_ > limits_.max_nodes) {
        refuse(node.place, fmt::format("more than {} values under anchors", limits_.max_nodes));
      }
      anchors_[anchor] = {node, count, height};
    }
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is_list()) {
      parent.node.items.push_back(std::move(node));
      return;
    }
    if (!parent.has_key) {
      if (node.is_null()) refuse(node.place, "an empty key");
      if (!node.is_scalar()) refuse(node.place, "a key must be a text, not a list or a map");
      if (!parent.keys.insert(node.text).second) {
        refuse(node.place,
               fmt::format("key '{}' stands twice in this map{}", node.text,
                           node.text == kMergeKey ? "; several maps are merged by a list: "
                                                    "'<<: [*first, *second]'"
                                                  : ""),
               node.text);
      }
      parent.merges = node.plain && node.text == kMergeKey;
      parent.pending.key = std::move(node.text);
      parent.pending.place = node.place;
      parent.has_key = true;
      return;
    }
    if (parent.merges) {
      merge(parent, std::move(node));
    } else {
      parent.pending.value = std::move(node);
      parent.node.members.push_back(std::move(parent.pending));
    }
    parent.pending = Member();
    parent.has_key = false;
  }

  // The value of a merge key: a map, or a list of maps. As in YAML 1.1, what stands in the map itself
  // wins over what is merged into it, and earlier maps over later ones.
  static void merge(Open& parent, Node&& value) {
    const auto take = [&](Node& map) {
      if (!map.is_map()) {
        refuse(map.place,
               fmt::format("'<<' merges a map ('<<: *name') or a list of maps ('<<: [*a, *b]'), "
                           "not {}",
                           map.shown()),
               map.shown());
      }
      for (Member& member : map.members) {
        const bool known = std::any_of(parent.merged.begin(), parent.merged.end(),
                                       [&](const Member& m) { return m.key == member.key; });
        if (!known) parent.merged.push_back(std::move(member));
      }
    };
    if (value.is_list()) {
      for (Node& map : value.items) take(map);
    } else {
      take(value);
    }
  }

  // Merged members come first, so that the order of axes is that of the map that they come from.
  static void lay_over(Node& map, std::vector<Member>&& merged) {
    for (Member& own : map.members) {
      const auto found = std::find_if(merged.begin(), merged.end(),
                                      [&](const Member& m) { return m.key == own.key; });
      if (found == merged.end()) {
        merged.push_back(std::move(own));
      } else {
        *found = std::move(own);
      }
    }
    map.members = std::move(merged);
  }

  std::shared_ptr<const std::string> file_;
  YamlLimits limits_;
  std::size_t nodes_ = 0;
  Node root_;
  YAML::Mark last_scalar_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, Anchor> anchors_;
};

void check_text(std::string_view text, const std::shared_ptr<const std::string>& file,
                const YamlLimits& limits) {
  if (text.size() > limits.max_bytes) {
    refuse({file, 0, 0},
           fmt::format("{} bytes; a sweep file has at most {}", text.size(), limits.max_bytes));
  }
  const std::size_t bad = std::min(find_invalid_utf8(text), text.find('\0'));
  if (bad == std::string_view::npos) return;
  const auto before = text.substr(0, bad);
  const auto line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1;
  const std::size_t start = before.rfind('\n');
  const auto column = static_cast<int>(bad - (start == std::string_view::npos ? 0 : start + 1)) + 1;
  refuse({file, line, column},
         fmt::format("byte 0x{:02x} is not text: sweep files are UTF-8 without NUL bytes",
                     static_cast<unsigned char>(text[bad])));
}

// Whether a line (from 0) is indented with tabs, which YAML forbids and yaml-cpp blames on others.
bool starts_with_tab(std::string_view text, int line) {
  for (; line > 0 && !text.empty(); --line) {
    const std::size_t end = text.find('\n');
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  const std::string_view indent = text.substr(0, text.find_first_not_of(" \t"));
  return indent.find('\t') != std::string_view::npos;
}

void emit(YAML::Emitter& out, const Node& node) {
  switch (node.kind) {
    case Node::Kind::kNull:
      out << YAML::Null;
      return;
    case Node::Kind::kScalar:
      if (!node.plain) out << YAML::DoubleQuoted;
      out << node.text;
      return;
    case Node::Kind::kList: {
      const bool flow = std::all_of(node.items.begin(), node.items.end(),
                                    [](const Node& item) { return item.is_scalar(); });
      if (flow) out << YAML::Flow;
      out << YAML::BeginSeq;
      for (const Node& item : node.items) emit(out, item);
      out << YAML::EndSeq;
      return;
    }
    case Node::Kind::kMap:
      if (node.members.empty()) out << YAML::Flow;
      out << YAML::BeginMap;
      for (const Member& member : node.members) {
        out << YAML::Key << member.key << YAML::Value;
        emit(out, member.value);
      }
      out << YAML::EndMap;
      return;
  }
}

}  // namespace

Node parse_yaml(std::string_view text, const std::string& file, const YamlLimits& limits) {
  const auto name = std::make_shared<const std::string>(file);
  check_text(text, name, limits);
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder(name, limits);
    if (!parser.HandleNextDocument(builder)) {
      refuse({name, 1, 1}, "the file is empty; a sweep starts with 'assay: 1'");
    }
    builder.check_last_quote(text);
    TreeBuilder second(name, limits);
    if (parser.HandleNextDocument(second)) {
      refuse(second.take_root().place, "a second document; a sweep file holds one");
    }
    return builder.take_root();
  } catch (const YAML::Exception& e) {
    refuse({name, e.mark.line + 1, e.mark.column + 1},
           fmt::format("not valid YAML: {}{}", e.msg.empty() ? "syntax error" : e.msg,
                       starts_with_tab(text, e.mark.line)
                           ? "; the line is indented with a tab, write spaces"
                           : ""));
  }
}

std::string emit_yaml(const Node& node) {
  YAML::Emitter out;
  emit(out, node);
  if (!out.good()) {
    throw Error(ErrorKind::kConfig, fmt::format("cannot write YAML: {}", out.GetLastError()));
  }
  return std::string(out.c_str()) + "\n";
}

}  // namespace assay::spec
