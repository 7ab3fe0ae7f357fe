#include "harness/spec/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <system_error>

#include "harness/base/atomic_file.h"
#include "harness/spec/yaml.h"

namespace assay::spec {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxIncludeDepth = 16;
constexpr int kMaxFiles = 100;

void merge_into(Node& base, Node&& over) {
  if (!base.is_map() || !over.is_map()) {
    base = std::move(over);
    return;
  }
  base.place = over.place;
  for (Member& member : over.members) {
    const auto found = std::find_if(base.members.begin(), base.members.end(),
                                    [&](const Member& m) { return m.key == member.key; });
    if (found == base.members.end()) {
      base.members.push_back(std::move(member));
    } else {
      found->place = member.place;
      merge_into(found->value, std::move(member.value));
    }
  }
}

class Loader {
 public:
  Node load(const fs::path& file, const Place* included_at) {
    const fs::path identity = identity_of(file);
    if (std::find(open_.begin(), open_.end(), identity) != open_.end()) {
      refuse(*included_at, fmt::format("'{}' includes itself in a circle", file.string()),
             file.string());
    }
    if (open_.size() >= kMaxIncludeDepth) {
      refuse(*included_at, fmt::format("includes nested deeper than {} levels", kMaxIncludeDepth));
    }
    if (++files_ > kMaxFiles) {
      refuse(*included_at, fmt::format("more than {} included files", kMaxFiles));
    }
    Node root = parse_yaml(read(file, included_at), file.string());
    if (!root.is_map()) {
      refuse(root.place, fmt::format("a sweep file is a map (key: value), not {}", root.shown()));
    }
    open_.push_back(identity);
    Node merged = with_includes(std::move(root), file);
    open_.pop_back();
    return merged;
  }

 private:
  Node with_includes(Node root, const fs::path& file) {
    const auto include = std::find_if(root.members.begin(), root.members.end(),
                                      [](const Member& m) { return m.key == "include"; });
    if (include == root.members.end()) return root;
    Node list = std::move(include->value);
    root.members.erase(include);
    Node merged;
    merged.kind = Node::Kind::kMap;
    for (Node* item : list_of(list, "include")) {
      const fs::path name = text_of(*item, "an included file");
      merge_into(merged, load((file.parent_path() / name).lexically_normal(), &item->place));
    }
    merge_into(merged, std::move(root));
    return merged;
  }

  static fs::path identity_of(const fs::path& file) {
    std::error_code error;
    const fs::path canonical = fs::weakly_canonical(file, error);
    return error ? file : canonical;
  }

  static std::string read(const fs::path& file, const Place* included_at) {
    std::error_code error;
    const auto status = fs::status(file, error);
    std::string problem;
    if (!fs::exists(status)) {
      problem = "no such file";
    } else if (!fs::is_regular_file(status)) {
      problem = "not a file";
    } else {
      try {
        return read_file(file, YamlLimits().max_bytes);
      } catch (const Error& e) {
        problem = e.what();
      }
    }
    problem = fmt::format("cannot read the sweep file '{}': {}", file.string(), problem);
    if (included_at != nullptr) refuse(*included_at, problem, file.string());
    throw Error(ErrorKind::kConfig, problem, {{"file", file.string()}});
  }

  std::vector<fs::path> open_;
  int files_ = 0;
};

// Steps from `node` to its child `part`; makes missing keys of maps.
Node& child(Node& node, const std::string& part, const Place& place, const std::string& walked) {
  if (node.is_null()) {
    node.kind = Node::Kind::kMap;
    node.text.clear();
  }
  if (node.is_map()) {
    if (Node* found = node.find(part)) return *found;
    Member member;
    member.key = part;
    member.place = place;
    member.value.place = place;
    node.members.push_back(std::move(member));
    return node.members.back().value;
  }
  if (!node.is_list()) {
    refuse(place, fmt::format("'{}' is {}, which has no '{}'", walked, node.shown(), part), part);
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (error != std::errc() || end != part.data() + part.size() || index >= node.items.size()) {
    refuse(place,
           fmt::format("'{}' is a list of {}; name an element by its index from 0, not '{}'",
                       walked, node.items.size(), part),
           part);
  }
  return node.items[index];
}

}  // namespace

Node load_document(const fs::path& file, const std::vector<std::string>& overrides) {
  Node root = Loader().load(file, nullptr);
  for (const std::string& text : overrides) apply_override(root, text);
  return root;
}

void apply_override(Node& root, const std::string& override_text) {
  const std::string name =
      "--set " + override_text.substr(0, std::min<std::size_t>(override_text.find('='), 200));
  Place place;
  place.file = std::make_shared<const std::string>(name);
  const std::size_t equals = override_text.find('=');
  if (equals == std::string::npos || equals == 0) {
    refuse(place, "expected key=value, for example run.slots=4", override_text);
  }
  const std::string value_text = override_text.substr(equals + 1);
  Node value;
  value.place = place;
  if (!value_text.empty()) value = parse_yaml(value_text, name);
  Node* node = &root;
  std::string walked;
  for (std::size_t start = 0; start <= equals;) {
    const std::size_t dot = std::min(override_text.find('.', start), equals);
    const std::string part = override_text.substr(start, dot - start);
    if (part.empty()) refuse(place, "an empty name between dots", override_text);
    if (walked.empty() && part == "include") {
      refuse(place, "includes are resolved before overrides; put them in the file");
    }
    node = &child(*node, part, place, walked.empty() ? "the sweep" : walked);
    walked += (walked.empty() ? "" : ".") + part;
    start = dot + 1;
  }
  *node = std::move(value);
}

fs::path resolve_path(Node& node, std::string_view what) {
  const fs::path path = text_of(node, what);
  if (path.is_absolute()) {
    node.text = path.lexically_normal().string();
    return node.text;
  }
  fs::path base;
  if (node.place.file && !node.place.file->starts_with("--set ")) {
    base = fs::path(*node.place.file).parent_path();
  }
  std::error_code error;
  fs::path absolute = fs::absolute(base / path, error).lexically_normal();
  if (error) refuse(node.place, fmt::format("{}: no working directory: {}", what, error.message()));
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  node.text = absolute.string();
  node.plain = false;
  return absolute;
}

}  // namespace assay::spec
