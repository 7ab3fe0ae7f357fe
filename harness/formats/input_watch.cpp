#include "harness/formats/input_watch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "harness/base/digest.h"
#include "harness/base/error.h"

namespace assay {
namespace {

[[noreturn]] void fail_io(const InputFile& file, const std::string& problem) {
  throw Error(ErrorKind::kIo, fmt::format("{}: {}", file.path.string(), problem),
              {{"file", file.path.string()}});
}

void check_content(int descriptor, const InputFile& file) {
  if (file.digest.empty()) return;  // any content will do
  const FileIdentity before = identity_of(descriptor, file.path);
  const std::string digest = sha256_descriptor(descriptor, file.path);
  if (identity_of(descriptor, file.path) != before) fail_io(file, "changed while it was read");
  if (digest != file.digest) refuse_changed(file);
}

// The file at a path, open while this lives.
class Opened {
 public:
  explicit Opened(const InputFile& file)
      : descriptor(::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
    if (descriptor < 0) refuse_changed(file);
  }
  ~Opened() { ::close(descriptor); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  const int descriptor;
};

}  // namespace

InputUse begin_use(const InputFile& file, int descriptor) {
  InputUse use{file, identity_of(descriptor, file.path), false};
  use.settled = is_settled(use.identity);
  if (file.identity != use.identity) check_content(descriptor, file);
  return use;
}

void end_use(InputUse& use, int descriptor) {
  const bool same = identity_of(descriptor, use.file.path) == use.identity;
  if (same && use.settled) return;
  const bool settled = is_settled(use.identity);
  check_content(descriptor, use.file);
  if (!same) {
    fail_io(use.file,
            "was written to or replaced while the stage read it, and holds the same again");
  }
  use.settled = settled;
}

InputUse begin_use(const InputFile& file) { return begin_use(file, Opened(file).descriptor); }

void end_use(InputUse& use) { end_use(use, Opened(use.file).descriptor); }

InputWatch::~InputWatch() {
  for (const Watched& each : watched_) ::close(each.descriptor);
}

bool InputWatch::still_valid() {
  forget_closed();
  return std::all_of(watched_.begin(), watched_.end(), [](const Watched& each) {
    return identity_of(each.descriptor, each.use.file.path) == each.use.identity;
  });
}

int InputWatch::open(const InputFile& file) const {
  // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
  const int descriptor = ::open(file.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_io(file, fmt::format("cannot be read: {}", std::strerror(errno)));
  return descriptor;
}

// What was checked once in this process need not be read again.
InputUse InputWatch::begin(const InputFile& file, int descriptor) {
  InputFile known = file;
  const std::string name = file.path.string() + "\n" + file.digest;
  const auto found = known_.find(name);
  if (found != known_.end()) known.identity = found->second;
  InputUse use = begin_use(known, descriptor);
  if (use.settled) known_[name] = use.identity;
  return use;
}

std::shared_ptr<const SafetensorsFile> InputWatch::map(const InputFile& file) {
  const int descriptor = open(file);
  try {
    const InputUse use = begin(file, descriptor);
    auto mapped = std::make_shared<const SafetensorsFile>(file.path, descriptor);
    watched_.push_back({use, descriptor, mapped});
    return mapped;
  } catch (...) {
    ::close(descriptor);
    throw;
  }
}

void InputWatch::hold(const InputFile& file) {
  const int descriptor = open(file);
  try {
    watched_.push_back({begin(file, descriptor), descriptor, {}});
  } catch (...) {
    ::close(descriptor);
    throw;
  }
}

void InputWatch::check() {
  for (Watched& each : watched_) end_use(each.use, each.descriptor);
}

void InputWatch::forget_closed() {
  std::erase_if(watched_, [](const Watched& each) {
    if (!each.mapping.expired()) return false;
    ::close(each.descriptor);
    return true;
  });
}

std::shared_ptr<const SafetensorsFile> map_input(const FileSet& files, const InputFile& file) {
  if (files.watch() != nullptr) return files.watch()->map(file);
  return InputWatch().map(file);
}

}  // namespace assay
