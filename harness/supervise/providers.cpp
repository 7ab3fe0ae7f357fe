#include "harness/supervise/providers.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/error.h"
#include "harness/base/json.h"
#include "harness/base/log.h"
#include "harness/supervise/executor.h"
#include "harness/supervise/host.h"
#include "harness/supervise/inspection_batches.h"

namespace assay::supervise {
namespace fs = std::filesystem;
namespace {

// Of the questions in one file: half of what its reader takes.
constexpr std::size_t kBatchBytes = kMostInspectionBytes / 2;

constexpr std::size_t kMaxCatalogueBytes = std::size_t{16} << 20;
constexpr int kCacheFormat = 2;
// A provider that prints so much before it has answered is broken; its output is held in memory.
constexpr std::int64_t kMaxOutputBytes = std::int64_t{64} << 20;
constexpr double kLongestWaitSeconds = 0.05;

std::string joined(const std::vector<std::string>& command) {
  return fmt::format("{}", fmt::join(command, " "));
}

[[noreturn]] void refuse_provider(const std::vector<std::string>& command,
                                  const std::string& problem) {
  throw Error(ErrorKind::kEnvironment, fmt::format("provider '{}': {}", joined(command), problem),
              {{"command", joined(command)}});
}

// The executor's next message of this type; others are passed over.
void await(Executor& executor, protocol::Type type, double until_s,
           const std::vector<std::string>& command, protocol::Message& into) {
  for (;;) {
    for (protocol::Message& message : executor.receive()) {
      if (message.type != type) continue;
      into = std::move(message);
      return;
    }
    if (const std::optional<Death> death = executor.reap()) {
      const std::int64_t end = executor.output_bytes();
      refuse_provider(
          command,
          fmt::format("{} before '{}'; last output: {}", death->message, protocol::name_of(type),
                      executor.output(std::max<std::int64_t>(0, end - 800), end)));
    }
    if (executor.output_bytes() > kMaxOutputBytes)
      refuse_provider(command, fmt::format("it printed more than {} MiB before '{}'",
                                           kMaxOutputBytes >> 20, protocol::name_of(type)));
    const double left_s = until_s - monotonic_seconds();
    if (left_s <= 0)
      refuse_provider(command, fmt::format("no '{}' message in time", protocol::name_of(type)));
    pollfd waited[2] = {{executor.at_end() ? -1 : executor.socket(), POLLIN, 0},
                        {executor.pidfd(), POLLIN, 0}};
    ::poll(waited, 2, static_cast<int>(std::min(left_s, kLongestWaitSeconds) * 1e3) + 1);
  }
}

// A folder of its own for an exchange of files, removed with what is in it.
class ExchangeFolder {
 public:
  ExchangeFolder() {
    const char* named = std::getenv("TMPDIR");
    const fs::path temporary = named != nullptr && *named != '\0' ? named : "/tmp";
    std::string pattern = (temporary / "assay-provider-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorKind::kIo,
                  fmt::format("cannot make a temporary folder in TMPDIR='{}': {}; set TMPDIR to a "
                              "folder that may be written",
                              temporary.string(), std::strerror(errno)));
    path_ = pattern;
  }
  ~ExchangeFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ExchangeFolder(const ExchangeFolder&) = delete;
  ExchangeFolder& operator=(const ExchangeFolder&) = delete;

  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  fs::path path_;
};

// A provider that was started to be asked something, and has said hello.
class Session {
 public:
  Session(const std::vector<std::string>& command, double timeout_s)
      : command_(command),
        until_s_(monotonic_seconds() + timeout_s),
        executor_(Command{command, {}}, fmt::format("provider '{}'", joined(command)), "") {
    protocol::Message hello;
    await(executor_, protocol::Type::kHello, until_s_, command_, hello);
    if (hello.version != protocol::kVersion)
      refuse_provider(command_,
                      fmt::format("it speaks version {} of the protocol, this program version {}",
                                  hello.version, protocol::kVersion));
    name_ = hello.provider;
  }

  const std::string& name() const { return name_; }

  // Sends a question and waits for the answer, which names the file that it has written.
  void exchange(const protocol::Message& question, protocol::Type answer_type,
                const std::string& file) {
    executor_.send(question);
    protocol::Message answer;
    await(executor_, answer_type, until_s_, command_, answer);
    if (answer.path != file)
      refuse_provider(command_, fmt::format("it {} '{}' instead of '{}'",
                                            protocol::name_of(answer_type), answer.path, file));
  }

  void leave() {
    protocol::Message exit;
    exit.type = protocol::Type::kExit;
    executor_.send(exit);
    const double farewell = monotonic_seconds() + 1;
    while (!executor_.reap() && monotonic_seconds() < farewell) {
      pollfd waited{executor_.pidfd(), POLLIN, 0};
      ::poll(&waited, 1, 100);
    }
  }

 private:
  const std::vector<std::string>& command_;
  double until_s_;
  Executor executor_;
  std::string name_;
};

Catalogue ask(const std::vector<std::string>& command, double timeout_s) {
  const ExchangeFolder folder;
  Session session(command, timeout_s);
  protocol::Message question;
  question.type = protocol::Type::kDescribe;
  question.path = folder.file("catalogue.json");
  session.exchange(question, protocol::Type::kDescribed, question.path);
  Catalogue catalogue;
  try {
    catalogue =
        catalogue_from(parse_json(read_file(question.path, kMaxCatalogueBytes), "catalogue"));
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("provider '{}': {}", joined(command), e.what()), e.context());
  }
  if (catalogue.provider != session.name())
    refuse_provider(command, fmt::format("it says hello as '{}' and describes itself as '{}'",
                                         session.name(), catalogue.provider));
  session.leave();
  return catalogue;
}

// The file that a word of a command names: the program through PATH too.
std::optional<fs::path> file_of(const std::string& word, bool program) {
  std::error_code code;
  if (!program || word.find('/') != std::string::npos)
    return fs::is_regular_file(word, code) ? std::optional<fs::path>(word) : std::nullopt;
  const char* path = std::getenv("PATH");
  const std::string folders = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  for (std::size_t at = 0; at <= folders.size();) {
    const std::size_t end = std::min(folders.find(':', at), folders.size());
    const fs::path candidate = fs::path(folders.substr(at, end - at)) / word;
    if (fs::is_regular_file(candidate, code)) return candidate;
    at = end + 1;
  }
  return std::nullopt;
}

// What the cached answer depends on, without reading the files: a program of 100 MB takes a while.
std::string cache_name(const std::vector<std::string>& command) {
  Json identity = {{"format", kCacheFormat},
                   {"protocol", protocol::kVersion},
                   {"words", command},
                   {"folder", fs::current_path().string()}};
  for (const char* name : {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX",
                           "CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "LD_PRELOAD"}) {
    if (const char* value = std::getenv(name)) identity["variables"][name] = value;
  }
  for (std::size_t i = 0; i < command.size(); ++i) {
    const std::optional<fs::path> file = file_of(command[i], i == 0);
    struct stat status {};
    if (!file || ::stat(file->c_str(), &status) != 0) continue;
    identity["files"].push_back({file->string(), status.st_size, status.st_mtim.tv_sec,
                                 status.st_mtim.tv_nsec, status.st_ino, status.st_ctim.tv_sec,
                                 status.st_ctim.tv_nsec});
  }
  return sha256(identity.dump(-1, ' ', false, Json::error_handler_t::replace)) + ".json";
}

// {path: digest} of the files that the catalogue names.
Json digests_of(const std::vector<std::string>& command, const Catalogue& catalogue,
                const FileDigest& digest) {
  Json files = Json::object();
  for (const std::string& file : catalogue.files) {
    try {
      files[file] = digest(file);
    } catch (const Error& e) {
      throw Error(ErrorKind::kConfig,
                  fmt::format("provider '{}' names '{}' among the files that it is made of: {}",
                              joined(command), file, e.what()),
                  {{"file", file}});
    }
  }
  return files;
}

// The answer of an earlier time, if none of the files that it names has another content.
std::optional<Catalogue> remembered(const fs::path& cached, const FileDigest& digest) {
  std::error_code code;
  if (!fs::exists(cached, code)) return {};
  try {
    const Json json = parse_json(read_file(cached, kMaxCatalogueBytes), cached.string());
    Catalogue catalogue = catalogue_from(json.at("catalogue"));
    for (const std::string& file : catalogue.files) {
      if (json.at("files").at(file) != digest(file)) return {};
    }
    return catalogue;
  } catch (const Error&) {
  } catch (const Json::exception&) {
  }
  fs::remove(cached, code);  // of another version, damaged, or a file is gone: ask again
  return {};
}

// Whether the command is one program, or one script for the program that it names.
bool is_one_file(const std::vector<std::string>& command) {
  if (command.size() == 1) return file_of(command[0], true).has_value();
  return std::count_if(command.begin() + 1, command.end(), [](const std::string& word) {
           return file_of(word, false).has_value();
         }) == 1;
}

}  // namespace

Catalogue describe(const std::vector<std::string>& command, const fs::path& cache, double timeout_s,
                   const FileDigest& digest) {
  if (command.empty()) refuse_provider(command, "its command is empty");
  const fs::path cached = cache.empty() ? fs::path() : cache / cache_name(command);
  if (!cached.empty()) {
    if (std::optional<Catalogue> known = remembered(cached, digest)) return *std::move(known);
  }
  Catalogue catalogue = ask(command, timeout_s);
  const Json files = digests_of(command, catalogue, digest);
  if (!cached.empty()) {
    std::error_code code;
    fs::create_directories(cache, code);
    try {
      write_file_atomically(
          cached, Json{{"catalogue", to_json(catalogue)}, {"files", files}}.dump() + "\n");
    } catch (const Error&) {
      // A cache that cannot be written costs time, no more.
    }
  }
  return catalogue;
}

std::vector<Answer> inspect(const std::vector<std::string>& command,
                            const std::vector<Question>& questions,
                            const std::vector<std::size_t>& wanted, double timeout_s) {
  const ExchangeFolder folder;
  std::vector<Answer> answers(wanted.size());
  for (const InspectionBatch& batch : inspection_batches(questions, wanted, kBatchBytes)) {
    protocol::Message message;
    message.type = protocol::Type::kInspect;
    message.path = folder.file("questions.json");
    message.answer = folder.file("answers.json");
    write_questions(message.path, batch.questions);
    Session session(command, timeout_s);
    session.exchange(message, protocol::Type::kInspected, message.answer);
    try {
      std::vector<Answer> given = read_answers(message.answer, batch.questions.size());
      session.leave();
      for (std::size_t i = 0; i < given.size(); ++i) {
        if (batch.asked[i] != InspectionBatch::kBeside)
          answers[batch.asked[i]] = std::move(given[i]);
      }
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("provider '{}': {}", joined(command), e.what()),
                  e.context());
    }
  }
  return answers;
}

std::string command_identity(const std::vector<std::string>& command) {
  return cache_name(command);
}

fs::path catalogue_cache() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache != '\0') return fs::path(cache) / "assay" / "catalogues";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return fs::path(home) / ".cache" / "assay" / "catalogues";
  return {};
}

std::vector<std::string> builtin_command() {
  const char* given = std::getenv("ASSAY_EXEC");
  if (given != nullptr && *given != '\0') {
    if (::access(given, X_OK) == 0) return {given};
    throw Error(
        ErrorKind::kEnvironment,
        fmt::format("ASSAY_EXEC='{}' is no program: {}; set it to the path of assay-exec, or "
                    "unset it",
                    given, std::strerror(errno)));
  }
  std::error_code code;
  const fs::path here = fs::read_symlink("/proc/self/exe", code).parent_path();
  std::string looked;
  for (const fs::path& place : {here / "assay-exec", here.parent_path() / "bin" / "assay-exec",
                                here.parent_path() / "libexec" / "assay-exec"}) {
    if (::access(place.c_str(), X_OK) == 0) return {place.string()};
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  throw Error(
      ErrorKind::kEnvironment,
      fmt::format("no assay-exec: looked at {}; build it, or set ASSAY_EXEC to its path", looked));
}

std::string provider_version(const std::vector<std::string>& command, const Catalogue& catalogue,
                             const FileDigest& digest) {
  return provider_version(command, catalogue, files_of_provider(command, catalogue, digest));
}

std::string provider_version(const std::vector<std::string>& command, const Catalogue& catalogue,
                             const FileSet& files) {
  if (catalogue.files.empty() && catalogue.version.empty() && !is_one_file(command)) {
    throw Error(ErrorKind::kConfig,
                fmt::format("provider '{}' ({}) cannot be told from another version of itself: it "
                            "names no files, states no version, and is not one file on its command "
                            "line; name its files in 'files' of its catalogue, or state 'version'",
                            catalogue.provider, joined(command)),
                {{"provider", catalogue.provider}});
  }
  Json digests = Json::array();
  for (std::size_t i = 0; i < command.size(); ++i) {
    if (i == 0 && command[i].find('/') == std::string::npos) continue;
    const InputFile* file = files.find("command", std::to_string(i));
    digests.push_back(file != nullptr ? file->digest : command[i]);
  }
  // Where the files lie does not matter, so that an environment may be moved.
  std::vector<std::string> named;
  for (const InputFile* file : files.of_role("code"))
    named.push_back(file->digest + " " + file->path.filename().string());
  std::sort(named.begin(), named.end());
  if (!named.empty()) digests.push_back(named);
  return fmt::format(
      "{}+{}", catalogue.version,
      sha256(digests.dump(-1, ' ', false, Json::error_handler_t::replace)).substr(0, 12));
}

Providers Providers::gather(const std::vector<std::vector<std::string>>& foreign, bool with_builtin,
                            const fs::path& cache, const FileDigest& digest) {
  Providers providers;
  if (with_builtin) {
    const std::vector<std::string> command = builtin_command();
    Catalogue catalogue = describe(command, cache);
    FileSet files = files_of_provider(command, catalogue, digest);
    providers.add(std::move(catalogue), command, std::move(files));
  }
  for (const std::vector<std::string>& command : foreign) {
    Catalogue catalogue = describe(command, cache, 120, digest);
    if (catalogue.files.empty() && command.size() > 1) {
      log_warning(
          "provider '{}' does not name the files that it is made of: a change in a module "
          "that it imports makes no new results unless it states another version than "
          "'{}' (docs/formats/catalogue.md)",
          catalogue.provider, catalogue.version);
    }
    FileSet files = files_of_provider(command, catalogue, digest);
    catalogue.version = provider_version(command, catalogue, files);
    providers.add(std::move(catalogue), command, std::move(files));
  }
  const Catalogue all = assay::joined(providers.catalogues_);
  for (const Catalogue& each : providers.catalogues_) {
    if (with_builtin && &each == providers.catalogues_.data()) continue;  // held by our tests
    try {
      check_against(all, each);
    } catch (const Error& e) {
      throw Error(
          e.kind(),
          fmt::format("{} (command: {})", e.what(), joined(providers.commands_.at(each.provider))),
          e.context());
    }
  }
  return providers;
}

void Providers::add(Catalogue catalogue, std::vector<std::string> command, FileSet files) {
  if (commands_.contains(catalogue.provider))
    throw Error(ErrorKind::kConfig,
                fmt::format("two providers call themselves '{}': '{}' and '{}'", catalogue.provider,
                            joined(commands_.at(catalogue.provider)), joined(command)));
  const auto refuse_twice = [&](const auto& ours, const auto& others, std::string_view what,
                                const std::string& provider) {
    for (const auto& a : ours) {
      for (const auto& b : others) {
        if (a.name != b.name) continue;
        throw Error(ErrorKind::kConfig,
                    fmt::format("{} '{}' is offered by two providers, '{}' and '{}'", what, a.name,
                                provider, catalogue.provider),
                    {{"name", a.name}});
      }
    }
  };
  for (const Catalogue& other : catalogues_) {
    refuse_twice(other.stages, catalogue.stages, "stage", other.provider);
    refuse_twice(other.methods, catalogue.methods, "method", other.provider);
    refuse_twice(other.metrics, catalogue.metrics, "metric", other.provider);
    refuse_twice(other.families, catalogue.families, "family", other.provider);
    refuse_twice(other.readers, catalogue.readers, "reader", other.provider);
  }
  commands_[catalogue.provider] = std::move(command);
  files_[catalogue.provider] = std::move(files);
  catalogues_.push_back(std::move(catalogue));
}

}  // namespace assay::supervise
