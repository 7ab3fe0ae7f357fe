#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/base/json.h"

// Which class is which output of a network. Names are those of the folders of an image folder.

namespace assay {

// The names that a config.json gives its outputs: "label_names" or "classes" (also in
// "pretrained_cfg"), "id2label", "label2id". None if there are none, or only LABEL_0, LABEL_1, ...
struct StatedClasses {
  std::vector<std::string> names;  // of output 0, 1, ...
  std::string problem;             // why there are no names though a field is there: malformed,
                                   // not as many as `outputs_in`, or another field says otherwise
  std::vector<std::string> unusable;  // then, the texts in these fields
};

// What can decide the class numbers of a data set.
struct ClassSources {
  std::string data;                  // "data 'pets'", for errors
  std::vector<std::string> folders;  // of the classes, of the training split if there is one
  std::string folders_from;          // that split's folder, for errors
  std::vector<std::string> listed;   // by a class list file; empty: none
  std::string list_file;             // its path
  StatedClasses checkpoint;          // names that the checkpoint gives its outputs
  std::string checkpoint_file;       // its config.json
  std::string order;                 // of the folders: "natural", "bytes" or "auto"
  std::int64_t outputs = 0;          // of the network; 0: not known
  bool trained_elsewhere = true;     // false: the network learns the numbers from this data
};

struct ClassList {
  std::vector<std::string> names;  // of class 0, 1, ...; as its folder, where there is one
  std::string source;              // what decided, for people
};

// The class numbers: those of the list file, else (`order` being "auto") those of the checkpoint's
// names if a folder has one of them, else the folders in `order`. Throws Error(kConfig) with the
// mend where
//   a folder is not in the list, or two sources that apply contradict each other;
//   natural and bytewise order differ (1, 10, 2) and nothing decides;
//   a network that was trained elsewhere has more or fewer outputs than there are classes.
ClassList resolve_classes(const ClassSources& sources);

// The number of each folder in `names`: of the same name, or else of the one name that agrees in
// letters and digits, whole or in a part between commas ("tench" in "tench, Tinca tinca"). Throws
// Error(kConfig) naming `where` and the folder that has none, or shares one.
std::vector<std::int64_t> class_numbers(const std::vector<std::string>& folders,
                                        const std::vector<std::string>& names,
                                        const std::string& where);

// Whether `a` is before `b` where runs of digits count as numbers, letters whatever their case.
bool natural_less(std::string_view a, std::string_view b);

// A class list file: a name a line, in the order of the network's outputs. Throws Error(kData)
// naming `file` and the line that is empty, repeated or not UTF-8; a million classes at most.
std::vector<std::string> class_list_from(std::string_view text, const std::string& file);

// What a config.json says.
StatedClasses class_names_in(const Json& configuration);

// How many outputs a config.json states; 0: it does not say.
std::int64_t outputs_in(const Json& configuration);

// {"count", "digest"} of the names, as recipes hold them.
Json class_list_identity(const std::vector<std::string>& names);

}  // namespace assay
