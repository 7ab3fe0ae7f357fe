#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>

#include "harness/base/atomic_file.h"
#include "harness/base/digest.h"
#include "harness/base/json.h"
#include "harness/contract/artifact_files.h"
#include "harness/formats/safetensors_file.h"
#include "harness/supervise/process_identity.h"
#include "tests/results/sample_run.h"

// The program as a shell meets it: exit codes, what goes to stdout and what to stderr.

namespace assay::app {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

class CommandLine : public testing::Test {
 protected:
  Outcome assay(const std::string& arguments) {
    const std::string out = (folder / "stdout").string(), err = (folder / "stderr").string();
    const std::string command = "cd '" + (folder / "").string() + "' && ASSAY_STORE='" +
                                (folder / "store").string() + "' '" ASSAY_PROGRAM "' " + arguments +
                                " >'" + out + "' 2>'" + err + "'";
    const int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(out), read_file(err)};
  }

  // runs/sample with every stage done.
  // `top1`: of the three trials, if it matters.
  results::SamplePlan make_run(const std::string& name = "sample",
                               const std::vector<double>& top1 = {}) {
    std::filesystem::create_directories(folder / ("runs/" + name));
    results::SamplePlan plan =
        results::SamplePlan().trial("float", "").trial("rtn", "W8A8").trial("rtn", "W4A8");
    results::DatabaseSink sink(folder / ("runs/" + name + "/results.sqlite"));
    results::run_all(sink, plan.plan(), false, [&](const plan::Stage& stage) {
      Json metrics = results::metrics_of(stage);
      for (std::size_t t = 0; t < top1.size(); ++t) {
        const std::size_t measured = plan.plan().trials[t].metrics[0].stage;
        if (plan.plan().stages[measured].key == stage.key) metrics["top1"] = top1[t];
      }
      return metrics;
    });
    return plan;
  }

  // Per-sample values of an evaluation in the store.
  void keep_samples(const plan::Stage& stage, const std::vector<std::uint8_t>& correct) {
    const auto artifact = folder / ("store/objects/" + stage.key.substr(0, 2) + "/" + stage.key);
    std::filesystem::create_directories(artifact);
    write_safetensors(artifact / "samples.safetensors",
                      {{"correct",
                        {.dtype = "U8",
                         .shape = {static_cast<std::int64_t>(correct.size())},
                         .bytes = std::as_bytes(std::span(correct))}}});
    const auto size = std::filesystem::file_size(artifact / "samples.safetensors");
    const std::string digest = sha256_file(artifact / "samples.safetensors");
    Json result = {{"stage", stage.name},
                   {"key", stage.key},
                   {"metrics", Json::object()},
                   {"files", {{"samples.safetensors", size}}},
                   {"digests", {{"samples.safetensors", digest}}}};
    result["digest"] = result_digest(result);
    write_file_atomically(artifact / "result.json", result.dump());
  }

  TemporaryFolder folder;
};

TEST_F(CommandLine, every_command_has_help_with_examples) {
  const Outcome root = assay("--help");
  EXPECT_EQ(root.code, 0);
  EXPECT_THAT(root.err, IsEmpty());
  for (const char* command : {"plan", "run", "status", "logs", "cancel", "board", "compare",
                              "export", "query", "show", "describe", "store", "save", "doctor"}) {
    EXPECT_THAT(root.out, HasSubstr(command));
    const Outcome help = assay(std::string(command) + " --help");
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr(std::string("  assay ") + command)) << command;
    EXPECT_THAT(help.err, IsEmpty()) << command;
  }
}

TEST_F(CommandLine, commands_that_are_not_offered_are_not_listed) {
  const std::string help = assay("--help").out;
  for (const char* command : {"gate", "ablate", "simulate", "submit", "invalidate", "audit"}) {
    EXPECT_THAT(help, Not(HasSubstr(std::string("\n  ") + command + " ")));
    EXPECT_EQ(assay(command).code, 2);
  }
}

TEST_F(CommandLine, usage_errors_end_with_2_and_say_why_on_stderr) {
  for (const char* arguments :
       {"", "bord", "board --format xml", "board --no-such-option", "compare one",
        "export --format md", "run", "plan missing.yaml", "run missing.yaml", "board no_such_run",
        "compare a b --level 2", "store", "store gc --min-age soon", "query", "save x",
        "run x.yaml --jobs 0"}) {
    const Outcome outcome = assay(arguments);
    EXPECT_EQ(outcome.code, 2) << arguments << ": " << outcome.err;
    EXPECT_THAT(outcome.err, Not(IsEmpty())) << arguments;
    EXPECT_THAT(outcome.out, IsEmpty()) << arguments;
  }
  EXPECT_THAT(assay("bord").err, HasSubstr("did you mean 'board'?"));
  EXPECT_THAT(assay("board no_such_run").err, HasSubstr("no_such_run"));
}

TEST_F(CommandLine, version_goes_to_stdout) {
  const Outcome outcome = assay("--version");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, testing::StartsWith("assay "));
}

TEST_F(CommandLine, board_shows_the_newest_run_unasked) {
  make_run();
  const Outcome outcome = assay("board");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("top1 (%) on fashion/test"));
  EXPECT_THAT(outcome.out, HasSubstr("3 trials, 3 done"));
  EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b")));
  EXPECT_EQ(assay("board sample").out, assay("board runs/sample").out);
  EXPECT_THAT(assay("board --color always").out, HasSubstr("\x1b[1m"));
  EXPECT_EQ(Json::parse(assay("board --format json").out)[0]["rows"].size(), 3u);
}

TEST_F(CommandLine, export_writes_the_same_rows_to_a_file_and_to_stdout) {
  make_run();
  const Outcome outcome = assay("export sample");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(assay("export -o rows.csv").out, "");
  EXPECT_EQ(read_file(folder / "rows.csv"), outcome.out);
  EXPECT_EQ(Json::parse(assay("export --format json").out).size(), 6u);
}

TEST_F(CommandLine, query_reads_and_refuses_to_write) {
  make_run();
  EXPECT_EQ(assay("query sample 'SELECT count(*) AS n FROM trial' --format csv").out, "n\n3\n");
  const Outcome outcome = assay("query sample 'DELETE FROM trial'");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("read"));
}

TEST_F(CommandLine, a_damaged_database_ends_with_4_and_the_mend) {
  make_run();
  write_file_atomically(folder / "runs/sample/results.sqlite", std::string(5000, 'x'));
  std::filesystem::remove(folder / "runs/sample/results.sqlite-wal");
  const Outcome outcome = assay("board sample");
  EXPECT_EQ(outcome.code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("damaged"));
}

TEST_F(CommandLine, compare_refuses_samples_that_do_not_give_the_figure_of_the_board) {
  const results::SamplePlan sample = make_run("sample", {80, 75, 60});
  const auto& trials = sample.plan().trials;
  keep_samples(sample.plan().stages[trials[1].metrics[0].stage], {1, 1, 1, 0});
  keep_samples(sample.plan().stages[trials[2].metrics[0].stage], {1, 0, 0, 1});
  const Outcome outcome = assay("compare " + trials[1].id + " " + trials[2].id);
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("B is 60 on the board and 50 by its per-sample values"));
  EXPECT_THAT(outcome.err, HasSubstr("top5 of top1 on fashion/test"));
}

TEST_F(CommandLine, compare_reads_samples_from_the_store) {
  const results::SamplePlan sample = make_run("sample", {80, 75, 50});
  const auto& trials = sample.plan().trials;
  const auto pair = trials[1].id + " " + trials[2].id;
  const Outcome missing = assay("compare " + pair);
  EXPECT_EQ(missing.code, 2);
  EXPECT_THAT(missing.err, HasSubstr("per-sample"));
  keep_samples(sample.plan().stages[trials[1].metrics[0].stage], {1, 1, 1, 0});
  keep_samples(sample.plan().stages[trials[2].metrics[0].stage], {1, 0, 0, 1});
  const Outcome outcome = assay("compare " + pair + " --resamples 500 --format json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json row = Json::parse(outcome.out)[0]["rows"][0];
  EXPECT_EQ(row["A"], 75.0);
  EXPECT_EQ(row["B"], 50.0);
  EXPECT_EQ(row["only A right"], 2);
  EXPECT_EQ(assay("compare " + pair + " --resamples 500 --format json").out, outcome.out);
}

TEST_F(CommandLine, compare_needs_nothing_but_run_folders_and_takes_two_of_them) {
  const results::SamplePlan sample = make_run("monday", {80, 50, 50});
  make_run("tuesday", {80, 75, 50});
  const auto& trial = sample.plan().trials[1];
  const std::string& stage = sample.plan().stages[trial.metrics[0].stage].key;
  const auto keep = [&](const char* run, const std::vector<std::uint8_t>& correct) {
    std::filesystem::create_directories(folder / "runs" / run / "samples");
    write_safetensors(folder / "runs" / run / "samples" / (stage + ".safetensors"),
                      {{"correct",
                        {.dtype = "U8",
                         .shape = {static_cast<std::int64_t>(correct.size())},
                         .bytes = std::as_bytes(std::span(correct))}}});
  };
  keep("monday", {1, 1, 0, 0});
  keep("tuesday", {1, 1, 1, 0});
  const Outcome outcome = assay("compare monday/" + trial.id + " runs/tuesday/" + trial.id +
                                " --resamples 500 --format json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const Json row = Json::parse(outcome.out)[0]["rows"][0];
  EXPECT_EQ(row["A"], 50.0);
  EXPECT_EQ(row["B"], 75.0);
  // A level whose bounds no resample reaches, and a seed that would wrap around.
  const std::string pair = "compare monday/" + trial.id + " tuesday/" + trial.id;
  EXPECT_THAT(assay(pair + " --level 0.9999 --resamples 100").err,
              HasSubstr("give at least --resamples 20000"));
  EXPECT_EQ(assay(pair + " --level 0.9999 --resamples 20000").code, 0);
  EXPECT_THAT(assay(pair + " --seed -1").err, HasSubstr("expected a whole number"));
}

TEST_F(CommandLine, show_tells_how_to_repeat_a_trial_and_save_refuses_codes) {
  const std::string id = make_run().plan().trials[1].id;
  EXPECT_THAT(assay("show " + id).out, HasSubstr("id == '" + id + "'"));
  EXPECT_THAT(assay("show " + id.substr(0, 5)).out, HasSubstr("evaluate"));
  const Outcome outcome = assay("save " + id + " -o out");
  EXPECT_EQ(outcome.code, 2);
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

TEST_F(CommandLine, cancel_signals_the_process_that_the_lock_names_and_no_other) {
  make_run();
  EXPECT_THAT(assay("cancel sample").err, HasSubstr("nothing runs here"));
  const auto lock = folder / "runs/sample/run.lock";
  const supervise::ProcessIdentity us = supervise::this_process();
  Json held = to_json(us);
  held["token"] = "t";
  // Without its start time it might be anybody's number.
  for (const char* member : {"started", "boot_id", "pid", "token"}) {
    Json less = held;
    less.erase(member);
    write_file_atomically(lock, less.dump());
    const Outcome outcome = assay("cancel sample");
    EXPECT_EQ(outcome.code, 2) << member;
    EXPECT_THAT(outcome.err, HasSubstr("remove it")) << member;
  }
  held["started"] = us.started + 1;
  write_file_atomically(lock, held.dump());
  EXPECT_THAT(assay("cancel sample").err, HasSubstr("is gone"));
}

TEST_F(CommandLine, cancel_reaches_a_run_elsewhere_by_a_file) {
  make_run();
  Json held = to_json(supervise::this_process());
  held["token"] = "t";
  held["boot_id"] = "another";
  held["host"] = "elsewhere";
  write_file_atomically(folder / "runs/sample/run.lock", held.dump());
  const Outcome outcome = assay("cancel sample");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("on elsewhere to stop (by a file"));
  EXPECT_EQ(Json::parse(read_file(folder / "runs/sample/run.cancel")).at("token"), "t");
}

TEST_F(CommandLine, describe_reads_a_checkpoint_without_an_executor) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  std::filesystem::create_directories(folder / "model");
  write_file_atomically(folder / "model/config.json", R"({"model_type": "opt"})");
  write_safetensors(
      folder / "model/model.safetensors",
      {{"w", {.dtype = "F32", .shape = {2, 3}, .bytes = std::as_bytes(std::span(values))}}});
  const Outcome outcome = assay("describe --model model");
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("model_type"));
  EXPECT_THAT(outcome.out, HasSubstr("[2, 3]"));
  EXPECT_THAT(outcome.out, HasSubstr("6 values in 1 tensors"));
  EXPECT_EQ(assay("describe --model nothing").code, 2);
}

TEST_F(CommandLine, an_empty_store_is_listed_and_collected) {
  EXPECT_EQ(assay("store ls").code, 0);
  EXPECT_THAT(assay("store gc --dry-run").err, HasSubstr("would drop"));
}

TEST_F(CommandLine, completion_and_manual_come_from_the_same_tree) {
  for (const char* text : {"completion bash", "completion zsh", "man"}) {
    EXPECT_THAT(assay(text).out, HasSubstr("resamples")) << text;
  }
  write_file_atomically(folder / "completion", assay("completion bash").out);
  EXPECT_EQ(std::system(("bash -n '" + (folder / "completion").string() + "'").c_str()), 0);
}

}  // namespace
}  // namespace assay::app
