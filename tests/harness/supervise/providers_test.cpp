#include "harness/supervise/providers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "harness/base/atomic_file.h"
#include "harness/base/error.h"
#include "tests/support/refusal.h"
#include "tests/support/temporary_folder.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using assay::testing::refusal;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const std::vector<std::string> kEcho{ECHO_PROVIDER};
const std::vector<std::string> kEchoPython{"python3", "tests/providers/echo.py"};

// A provider of a few shell lines that logs each start and answers with `catalogue`.
std::vector<std::string> shell_provider(const TemporaryFolder& folder, const std::string& hello,
                                        const std::string& catalogue) {
  const fs::path script = folder.path() / "provider.sh";
  write_file_atomically(folder.path() / "catalogue", catalogue);
  write_file_atomically(
      script, "echo started >> " + (folder.path() / "starts").string() + "\necho '" + hello +
                  "' >&3\nread -r line <&3\npath=$(echo \"$line\" | sed 's/.*\"path\":\"//; "
                  "s/\".*//')\ncp " +
                  (folder.path() / "catalogue").string() +
                  " \"$path\"\necho \"{\\\"type\\\": \\\"described\\\", \\\"path\\\": "
                  "\\\"$path\\\"}\" >&3\nread -r line <&3\n");
  return {"sh", script.string()};
}

const char* const kHello = R"({"type": "hello", "protocol": 1, "provider": "shell", "pid": 1})";

std::string describe_error(const std::vector<std::string>& command, double timeout_s = 20) {
  return refusal([&] { describe(command, "", timeout_s); });
}

TEST(Providers, both_echo_providers_offer_the_same) {
  Catalogue native = describe(kEcho, "");
  Catalogue python = describe(kEchoPython, "");
  EXPECT_EQ(native.provider, "echo");
  EXPECT_EQ(python.provider, "echo-py");
  EXPECT_NE(native.find_method("echo"), nullptr);
  python.provider = native.provider;
  EXPECT_THAT(python.files, ::testing::Contains(::testing::EndsWith("tests/providers/echo.py")));
  python.files.clear();  // a compiled program has none to name
  python.inspects = false;
  EXPECT_EQ(native, python);
}

TEST(Providers, an_answer_is_cached_until_a_file_of_the_command_changes) {
  TemporaryFolder folder;
  const fs::path cache = folder.path() / "cache";
  const auto command = shell_provider(folder, kHello, R"({"provider": "shell", "version": "7"})");
  const auto starts = [&] { return read_file(folder.path() / "starts"); };
  EXPECT_EQ(describe(command, cache).version, "7");
  EXPECT_EQ(describe(command, cache).version, "7");
  EXPECT_EQ(starts(), "started\n");
  shell_provider(folder, kHello, R"({"provider": "shell", "version": "8"})");
  EXPECT_EQ(describe(command, cache).version, "8");
  for (const auto& entry : fs::directory_iterator(cache)) write_file_atomically(entry.path(), "{");
  EXPECT_EQ(describe(command, cache).version, "8") << "a damaged cache is asked again";
}

TEST(Providers, that_do_not_answer_properly_are_refused) {
  EXPECT_THAT(describe_error({"no-such-provider"}), HasSubstr("no such program in PATH"));
  EXPECT_THAT(describe_error({"sh", "-c", "echo the library is missing >&2; exit 4"}),
              HasSubstr("left with exit code 4 before 'hello'; last output: the library is "
                        "missing"));
  EXPECT_THAT(describe_error({"sleep", "60"}, 0.2), HasSubstr("no 'hello' message in time"));
  EXPECT_THAT(describe_error({"sh", "-c", "echo rubbish >&3; sleep 60"}),
              HasSubstr("not valid JSON"));
  TemporaryFolder folder;
  EXPECT_THAT(
      describe_error(shell_provider(
          folder, R"({"type": "hello", "protocol": 9, "provider": "shell", "pid": 1})", "{}")),
      HasSubstr("version 9 of the protocol, this program version 1"));
  EXPECT_THAT(describe_error(shell_provider(folder, kHello, "{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(describe_error(shell_provider(folder, kHello, R"({"provider": "else"})")),
              HasSubstr("says hello as 'shell' and describes itself as 'else'"));
}

TEST(Providers, that_print_without_end_before_they_answer_are_refused) {
  EXPECT_THAT(describe_error({"cat", "/dev/zero"}), HasSubstr("printed more than 64 MiB"));
}

TEST(Providers, may_not_offer_one_thing_twice) {
  Providers providers;
  const Catalogue echo = describe(kEcho, "");
  providers.add(echo, kEcho);
  EXPECT_THROW(providers.add(echo, kEcho), Error);
  EXPECT_THAT(refusal([&] { providers.add(describe(kEchoPython, ""), kEchoPython); }),
              HasSubstr("config: stage 'echo.value' is offered by two providers, 'echo' and "
                        "'echo-py'"));
  EXPECT_EQ(providers.commands().at("echo"), kEcho);
}

TEST(Providers, the_version_of_a_foreign_one_follows_its_files) {
  TemporaryFolder folder;
  const std::string script = (folder.path() / "p.py").string();
  write_file_atomically(script, "a");
  Catalogue stated;
  stated.provider = "p";
  stated.version = "1";
  const std::string before = provider_version({"python3", script}, stated);
  EXPECT_EQ(before, provider_version({"python3", script}, stated));
  EXPECT_THAT(before, StartsWith("1+"));
  write_file_atomically(script, "b");
  EXPECT_NE(before, provider_version({"python3", script}, stated));
}

TEST(Providers, that_cannot_be_told_from_their_successors_are_refused) {
  TemporaryFolder folder;
  const std::string script = (folder.path() / "p.py").string();
  write_file_atomically(script, "a");
  Catalogue silent;
  silent.provider = "p";
  EXPECT_NO_THROW(provider_version({"python3", script}, silent)) << "one file";
  EXPECT_NO_THROW(provider_version({ECHO_PROVIDER}, silent)) << "one program";
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"python3", "-m", "mine"},
        std::vector<std::string>{"conda", "run", "-n", "env", "python", "-m", "mine"}}) {
    EXPECT_THAT(
        refusal([&] { provider_version(command, silent); }),
        AllOf(StartsWith("config: "), HasSubstr("cannot be told from another version of itself")))
        << command.back();
  }
  silent.version = "2";
  EXPECT_NO_THROW(provider_version({"python3", "-m", "mine"}, silent));
}

// A provider of two modules, main and helper, that names what it has imported from its own folder.
void write_two_modules(const fs::path& folder, const std::string& helper) {
  write_file_atomically(folder / "helper.py", helper);
  write_file_atomically(folder / "mine.py", R"(
import json, os, socket, sys
import helper
open(os.path.join(os.path.dirname(__file__), "starts"), "a").write("started\n")
wire = socket.socket(fileno=int(os.environ["ASSAY_FD"]))
def say(**message): wire.sendall((json.dumps(message) + "\n").encode())
say(type="hello", protocol=1, provider="mine", pid=os.getpid())
for line in wire.makefile():
    message = json.loads(line)
    if message["type"] == "exit": break
    folder = os.path.dirname(os.path.abspath(__file__))
    files = [os.path.abspath(m.__file__) for m in sys.modules.values() if getattr(m, "__file__", None)]
    json.dump({"provider": "mine", "version": str(helper.VERSION),
               "files": [f for f in files if f.startswith(folder)]}, open(message["path"], "w"))
    say(type="described", path=message["path"])
)");
}

TEST(Providers, an_edited_module_is_another_provider_however_it_is_started) {
  TemporaryFolder folder;
  const fs::path code = folder.path() / "code";
  const fs::path cache = folder.path() / "cache";
  fs::create_directories(code);
  ::setenv("PYTHONPATH", code.c_str(), 1);
  ::setenv("PYTHONDONTWRITEBYTECODE", "1", 1);
  const std::vector<std::vector<std::string>> ways{{"python3", (code / "mine.py").string()},
                                                   {"python3", "-m", "mine"}};
  for (const auto& command : ways) {
    write_two_modules(code, "VERSION = 1\n");
    const auto version = [&] {
      const Providers providers = Providers::gather({command}, false, cache);
      return providers.catalogues().at(0).version;
    };
    const auto starts = [&] { return read_file(code / "starts").size(); };
    const std::string before = version();
    const std::size_t started = starts();
    EXPECT_EQ(version(), before);
    EXPECT_EQ(starts(), started) << "the answer is remembered";
    write_file_atomically(code / "helper.py", "VERSION = 1  # another body\n");
    const std::string after = version();
    EXPECT_NE(after, before);
    EXPECT_GT(starts(), started) << "a module may change what the provider offers";
    EXPECT_THAT(after, StartsWith("1+"));
  }
  ::unsetenv("PYTHONPATH");
  ::unsetenv("PYTHONDONTWRITEBYTECODE");
}

TEST(Providers, a_dangling_reference_names_provider_and_command) {
  TemporaryFolder folder;
  const auto command = shell_provider(
      folder, kHello,
      R"({"provider": "shell", "stages": [{"name": "shell.q", "reads": ["clipp"], "inputs":
         [{"name": "t", "stage": "sample_calibration"}]}], "methods": [{"name": "m", "network":
         "shell.q", "parameters": [{"name": "clip"}]}]})");
  EXPECT_THAT(refusal([&] { Providers::gather({command}, false, ""); }),
              AllOf(HasSubstr("provider 'shell': input 't' of stage 'shell.q' refers to stage "
                              "'sample_calibration', which no provider of this sweep offers"),
                    HasSubstr("provider.sh)")));
}

TEST(Providers, the_builtin_one_is_named_by_the_environment_or_lies_beside_the_program) {
  ::setenv("ASSAY_EXEC", ECHO_PROVIDER, 1);
  TemporaryFolder folder;
  const Providers gathered = Providers::gather({}, true, folder.path());
  EXPECT_EQ(gathered.catalogues().at(0).provider, "echo");
  EXPECT_EQ(gathered.catalogues().at(0).version, "1");
  ::unsetenv("ASSAY_EXEC");
}

}  // namespace
}  // namespace assay::supervise
