#include "harness/formats/class_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "harness/base/error.h"
#include "harness/base/suggest.h"

namespace assay {
namespace {

constexpr int kNone = -1;
constexpr int kSeveral = -2;
constexpr const char* kListMend =
    "name the class of every output in a file, 'classes: FILE', a folder name a line";

// Letters of one case and digits.
std::string plain(std::string_view name) {
  std::string text;
  for (const char c : name) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool kept = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                      static_cast<unsigned char>(c) >= 0x80;
    if (kept) text.push_back(upper ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return text;
}

// Finds the number of a folder's name, by what class_numbers() says.
class Names {
 public:
  explicit Names(const std::vector<std::string>& names) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      enter(exact_, names[i], static_cast<int>(i));
      enter(alike_, plain(names[i]), static_cast<int>(i));
      for (std::size_t begin = 0; begin < names[i].size();) {
        const std::size_t comma = std::min(names[i].find(',', begin), names[i].size());
        enter(alike_, plain(std::string_view(names[i]).substr(begin, comma - begin)),
              static_cast<int>(i));
        begin = comma + 1;
      }
    }
  }

  int number_of(const std::string& folder) const {
    const auto same = exact_.find(folder);
    if (same != exact_.end()) return same->second;
    const auto alike = alike_.find(plain(folder));
    return alike == alike_.end() ? kNone : alike->second;
  }

 private:
  static void enter(std::map<std::string, int>& numbers, const std::string& name, int number) {
    if (name.empty()) return;
    const auto [found, fresh] = numbers.try_emplace(name, number);
    if (!fresh && found->second != number) found->second = kSeveral;
  }

  std::map<std::string, int> exact_;
  std::map<std::string, int> alike_;
};

[[noreturn]] void refuse_classes(const std::string& message, const std::string& value = "") {
  throw Error(ErrorKind::kConfig, message, {{"field", "classes"}, {"value", value}});
}

std::string first_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 4); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return text + (names.size() > 4 ? ", ..." : "");
}

// Whether `names` calls at least one folder by its name.
bool applies(const std::vector<std::string>& names, const std::vector<std::string>& folders) {
  const Names numbers(names);
  return std::any_of(folders.begin(), folders.end(),
                     [&](const std::string& folder) { return numbers.number_of(folder) >= 0; });
}

// Two lists that both name the folders must agree.
void check_agreement(const ClassSources& sources, const std::vector<std::string>& chosen,
                     const std::string& by) {
  if (!applies(sources.checkpoint.names, sources.folders)) return;
  const Names theirs(sources.checkpoint.names);
  const Names ours(chosen);
  for (const std::string& folder : sources.folders) {
    const int number = theirs.number_of(folder);
    const int mine = ours.number_of(folder);  // what has none is refused by itself
    if (number < 0 || mine < 0 || mine == number) continue;
    refuse_classes(
        fmt::format("{}: class '{}' has number {} by {}, but is output {} of the network by "
                    "'{}'; leave the former out, or mend what is wrong",
                    sources.data, folder, mine, by, number, sources.checkpoint_file),
        folder);
  }
}

std::vector<std::string> ordered(std::vector<std::string> folders, bool natural) {
  std::sort(folders.begin(), folders.end());
  if (natural) std::stable_sort(folders.begin(), folders.end(), natural_less);
  return folders;
}

ClassList from_folders(const ClassSources& sources) {
  const std::vector<std::string> bytes = ordered(sources.folders, false);
  const std::vector<std::string> natural = ordered(sources.folders, true);
  if (sources.order == "auto" && bytes != natural) {
    refuse_classes(fmt::format(
        "{}: the numbers of the classes in '{}' depend on how their names are "
        "sorted, by bytes ({}) or naturally ({}), and neither the checkpoint nor a "
        "class list says which is meant; write 'class_order: bytes' (as "
        "torchvision) or 'class_order: natural' (as timm), or {}",
        sources.data, sources.folders_from, first_of(bytes), first_of(natural), kListMend));
  }
  return {sources.order == "natural" ? natural : bytes,
          fmt::format("the sorted folders of '{}'", sources.folders_from)};
}

// A checkpoint that means to name these classes, and fails to, decides; the order of the folders is
// not taken instead, unless it was asked for.
void check_usable(const ClassSources& sources) {
  const StatedClasses& stated = sources.checkpoint;
  if (sources.order != "auto" || stated.problem.empty()) return;
  if (!applies(stated.unusable, sources.folders)) return;
  refuse_classes(
      fmt::format("{}: '{}' names classes, but not so that they can be used: {}; mend it, {}, or "
                  "write 'class_order: natural' or 'bytes' if the network was trained with the "
                  "folders in that order",
                  sources.data, sources.checkpoint_file, stated.problem, kListMend));
}

void check_count(const ClassSources& sources, const ClassList& list) {
  const auto classes = static_cast<std::int64_t>(list.names.size());
  if (sources.outputs == 0 || classes == sources.outputs) return;
  if (!sources.trained_elsewhere && classes < sources.outputs) return;
  refuse_classes(
      fmt::format("{}: {} {} by {}, but the network has {} outputs; {}", sources.data, classes,
                  classes == 1 ? "class" : "classes", list.source, sources.outputs, kListMend),
      std::to_string(classes));
}

// Two lists that number the folders alike should be one list, however a checkpoint spells names.
void call_by_folders(std::vector<std::string>& names, const std::vector<std::string>& folders,
                     const std::vector<std::int64_t>& numbers) {
  for (std::size_t i = 0; i < folders.size(); ++i) {
    names[static_cast<std::size_t>(numbers[i])] = folders[i];
  }
}

}  // namespace

ClassList resolve_classes(const ClassSources& sources) {
  ClassList list;
  if (!sources.listed.empty()) {
    list = {sources.listed, fmt::format("'{}'", sources.list_file)};
    check_agreement(sources, list.names, list.source);
  } else if (sources.order == "auto" && applies(sources.checkpoint.names, sources.folders)) {
    list = {sources.checkpoint.names,
            fmt::format("the class names in '{}'", sources.checkpoint_file)};
  } else {
    check_usable(sources);
    list = from_folders(sources);
    check_agreement(sources, list.names, "class_order");
  }
  check_count(sources, list);
  const std::string where = fmt::format("{}, '{}'", sources.data, sources.folders_from);
  call_by_folders(list.names, sources.folders, class_numbers(sources.folders, list.names, where));
  return list;
}

std::vector<std::int64_t> class_numbers(const std::vector<std::string>& folders,
                                        const std::vector<std::string>& names,
                                        const std::string& where) {
  const Names known(names);
  std::vector<std::int64_t> numbers;
  std::map<int, std::string> taken;
  for (const std::string& folder : folders) {
    const int number = known.number_of(folder);
    if (number < 0) {
      const std::string near = nearest(folder, names);
      refuse_classes(
          fmt::format("{}: folder '{}' is {} of the {} classes{}; rename it, or {}", where, folder,
                      number == kSeveral ? "more than one" : "none", names.size(),
                      near.empty() ? fmt::format(" ({})", first_of(names))
                                   : fmt::format(" (did you mean '{}'?)", near),
                      kListMend),
          folder);
    }
    const auto [other, fresh] = taken.try_emplace(number, folder);
    if (!fresh) {
      refuse_classes(
          fmt::format("{}: folders '{}' and '{}' are both class {} ('{}')", where, other->second,
                      folder, number, names[static_cast<std::size_t>(number)]),
          folder);
    }
    numbers.push_back(number);
  }
  return numbers;
}

}  // namespace assay
