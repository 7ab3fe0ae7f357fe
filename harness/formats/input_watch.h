#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "harness/formats/input_file.h"
#include "harness/formats/safetensors_file.h"

namespace assay {

// An input file from the moment that a stage may read it to the moment that it no longer does.
struct InputUse {
  InputFile file;
  FileIdentity identity;  // when the use began
  bool settled = false;   // then; if not, the identity alone does not tell a change
};

// Checks that the open file holds what the plan saw: by its identity, else by its digest. Throws
// Error(kData) "changed since the plan", Error(kIo) if it changes while it is read.
InputUse begin_use(const InputFile& file, int descriptor);

// Checks that it has not changed since. Throws Error(kData) if it holds something else by now,
// Error(kIo) if it was written to or replaced and holds the same again: what was read meanwhile is
// unknown, and the stage can be run once more.
void end_use(InputUse& use, int descriptor);

// The same for whatever lies at the file's path, which others open by themselves. A file that is
// gone has changed.
InputUse begin_use(const InputFile& file);
void end_use(InputUse& use);

// Guards input files whose bytes are read while a stage runs, not when they are opened: mapped
// weights, also those that an executor keeps between stages. Used by one thread.
class InputWatch {
 public:
  InputWatch() = default;
  ~InputWatch();
  InputWatch(const InputWatch&) = delete;
  InputWatch& operator=(const InputWatch&) = delete;

  // Before a stage. False if a file that is mapped since an earlier stage has changed: what was
  // made of it must not be used any more.
  bool still_valid();

  // Opens and maps a file. Throws as begin_use() and SafetensorsFile do.
  std::shared_ptr<const SafetensorsFile> map(const InputFile& file);

  // Watches a file that the stage reads by itself, until the next still_valid(). Throws as
  // begin_use() does.
  void hold(const InputFile& file);

  // After a stage. Throws as end_use() does, for any file that was mapped meanwhile.
  void check();

  // Forgets the files that nothing maps any more.
  void forget_closed();

 private:
  int open(const InputFile& file) const;
  InputUse begin(const InputFile& file, int descriptor);

  struct Watched {
    InputUse use;
    int descriptor = -1;
    std::weak_ptr<const SafetensorsFile> mapping;
  };

  std::vector<Watched> watched_;
  std::map<std::string, FileIdentity> known_;  // path and digest -> checked before, settled
};

// Maps a file of a set: through its watch, or unwatched if it has none.
std::shared_ptr<const SafetensorsFile> map_input(const FileSet& files, const InputFile& file);

}  // namespace assay
