#include "harness/supervise/providers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "harness/core/atomic_file.h"
#include "harness/core/error.h"
#include "tests/harness/supervise/temporary_folder.h"

namespace assay::supervise {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

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

std::string refusal(const std::vector<std::string>& command, double timeout_s = 20) {
  try {
    describe(command, "", timeout_s);
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

TEST(Providers, both_echo_providers_offer_the_same) {
  Catalogue native = describe(kEcho, "");
  Catalogue python = describe(kEchoPython, "");
  EXPECT_EQ(native.provider, "echo");
  EXPECT_EQ(python.provider, "echo-py");
  EXPECT_NE(native.find_method("echo"), nullptr);
  python.provider = native.provider;
  python.inspects = native.inspects;  // the Python one alone answers it
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
  EXPECT_THAT(refusal({"no-such-provider"}), HasSubstr("no such program in PATH"));
  EXPECT_THAT(refusal({"sh", "-c", "echo the library is missing >&2; exit 4"}),
              HasSubstr("left with exit code 4 before 'hello'; last output: the library is "
                        "missing"));
  EXPECT_THAT(refusal({"sleep", "60"}, 0.2), HasSubstr("no 'hello' message in time"));
  EXPECT_THAT(refusal({"sh", "-c", "echo rubbish >&3; sleep 60"}), HasSubstr("not valid JSON"));
  TemporaryFolder folder;
  EXPECT_THAT(
      refusal(shell_provider(
          folder, R"({"type": "hello", "protocol": 9, "provider": "shell", "pid": 1})", "{}")),
      HasSubstr("version 9 of the protocol, this program version 1"));
  EXPECT_THAT(refusal(shell_provider(folder, kHello, "{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(refusal(shell_provider(folder, kHello, R"({"provider": "else"})")),
              HasSubstr("says hello as 'shell' and describes itself as 'else'"));
}

TEST(Providers, may_not_offer_one_thing_twice) {
  Providers providers;
  const Catalogue echo = describe(kEcho, "");
  providers.add(echo, kEcho);
  EXPECT_THROW(providers.add(echo, kEcho), Error);
  try {
    providers.add(describe(kEchoPython, ""), kEchoPython);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kConfig);
    EXPECT_THAT(e.what(), HasSubstr("stage 'echo.value' is offered by two providers, 'echo' and "
                                    "'echo-py'"));
  }
  EXPECT_EQ(providers.commands().at("echo"), kEcho);
}

TEST(Providers, the_version_of_a_foreign_one_follows_its_files) {
  TemporaryFolder folder;
  const std::string script = (folder.path() / "p.py").string();
  write_file_atomically(script, "a");
  const std::string before = provider_version({"python3", script}, "1");
  EXPECT_EQ(before, provider_version({"python3", script}, "1"));
  EXPECT_THAT(before, ::testing::StartsWith("1+"));
  write_file_atomically(script, "b");
  EXPECT_NE(before, provider_version({"python3", script}, "1"));
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
