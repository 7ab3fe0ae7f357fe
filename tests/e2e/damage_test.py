#!/usr/bin/env python3
"""What others do to the files of a run, a store or a provider, while it goes on and afterwards: right figures or a refusal, and a way on.

    tests/e2e/damage_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import json
import os
import shutil

from cases import EchoTest, main, options
import sqlite3
import subprocess
import time
from pathlib import Path

PROVIDERS = Path(__file__).resolve().parent.parent / "providers"


class DamageTest(EchoTest):
    def sweep(self, methods, command=None, metric="metric: echo_value", settings="stall_timeout: 1m"):
        path = self.folder / "damaged.yaml"
        words = json.dumps(command or [str(Path(options.provider).resolve())])
        path.write_text(f"""assay: 1
name: damaged
providers:
  - {{command: {words}}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}, seed: [0]}}
evaluate:
  - {{{metric}}}
run: {{{settings}}}
""")
        return path

    def assay(self, *arguments, code=0):
        done = subprocess.run([str(Path(options.assay).resolve()), *map(str, arguments)], env=self.environment, text=True,
                              capture_output=True, timeout=100, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done

    def run_it(self, sweep, *arguments, code=0):
        return self.assay("run", sweep, "--out", self.run_folder, "--jobs", "2", *arguments, code=code).stderr

    def begin(self, sweep):
        process = subprocess.Popen([str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(self.run_folder), "--jobs", "2"],
                                   env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        return process

    def end(self, process, code=0):
        output, said = process.communicate(timeout=100)
        self.assertEqual(process.returncode, code, output + said)
        return said

    def rows(self, query):
        with sqlite3.connect(f"file:{self.run_folder}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def values(self):
        return sorted(value for (value,) in self.rows("SELECT value FROM leaderboard WHERE name = 'echo_value'"))

    def wait_until(self, there, what):
        limit = time.monotonic() + 30
        while not there():
            self.assertLess(time.monotonic(), limit, f"{what} did not happen")
            time.sleep(0.02)

    def published(self):
        return len(list((self.store / "objects").glob("*/*"))) if self.store.exists() else 0

    # ---- providers

    def own_provider(self, bodies=""):
        """A copy of the Python provider that may be edited. `bodies`: lines that put other stages into BODIES."""
        for name in ("echo.py", "echo_catalogue.json"):
            shutil.copy(PROVIDERS / name, self.folder / name)
        script = self.folder / "echo.py"
        text = script.read_text()
        place = text.index("def execute(")
        script.write_text(text[:place] + bodies + "\n\n" + text[place:])
        return script

    def test_a_provider_that_is_edited_meanwhile_publishes_nothing_under_the_old_keys(self):
        script = self.own_provider()
        before = script.read_text()
        edited = before.replace('"echo_value": self.parameter', '"echo_value": 1000 + self.parameter')
        self.assertNotEqual(edited, before)
        sweep = self.sweep("{echo_sleep: {value: [1, 2, 3, 4, 5, 6], seconds: [0.7]}, echo_crash: {value: [7, 8], recovers_after: [1]}}",
                           ["python3", str(script)])
        run = self.begin(sweep)
        self.wait_until(self.published, "the first publication")
        script.write_text(edited)
        said = self.end(run, code=4)
        self.assertIn(f"{script} of provider 'echo-py' changed since the plan", said)
        self.assertIn("run the same command again, which plans with the new one", said)
        script.write_text(before)
        shutil.rmtree(self.run_folder)
        self.run_it(sweep)
        self.assertEqual(self.values(), [1, 2, 3, 4, 5, 6, 7, 8], "the store holds figures of the edited code under the old keys")
        script.write_text(edited)
        self.run_it(sweep)
        self.assertEqual(self.values(), [1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008])

    def test_a_method_whose_canary_does_not_hold_makes_no_network(self):
        script = self.own_provider("""
def canary(stage):
    if os.path.exists(os.path.join(HERE, "broken")):
        raise Failure("method", "the canary rounds 0.5 to 2")
    return {"metrics": {"holds": 1}}
BODIES["echo.canary"] = canary
""")
        catalogue = self.folder / "echo_catalogue.json"
        offered = json.loads(catalogue.read_text())
        offered["stages"].append({"name": "echo.canary"})
        offered["methods"][0]["canary"] = "echo.canary"
        catalogue.write_text(json.dumps(offered))
        sweep = self.sweep("{echo: {value: [1, 2]}, echo_file: {value: [3]}}", ["python3", str(script)])
        (self.folder / "broken").touch()
        self.assertIn("the canary rounds 0.5 to 2", self.run_it(sweep, code=1))
        figures = self.rows("SELECT value FROM leaderboard WHERE name = 'echo_value' AND value IS NOT NULL")
        self.assertEqual(figures, [(3,)])
        self.assertEqual(self.rows("SELECT count(*) FROM stage WHERE name = 'echo.value' AND state = 'blocked'"), [(2,)])
        self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome = 'method'"), [(1,)])
        (self.folder / "broken").unlink()
        self.run_it(sweep, "--retry-failed")
        self.assertEqual(self.values(), [1, 2, 3])
        self.assertIn("0 stages run", self.run_it(sweep))
        self.assertRegex(self.run_it(sweep, "--force", "echo.canary"), r"\b1 stages? run", "networks hold nothing of a canary")

    # ---- artifacts

    MEASURED = """
def measured(stage):
    value = metrics_of(stage.run["inputs"]["network"])["echo_value"]
    os.makedirs(stage.run["output"])
    correct = [float((7 * i + value) % 5 > value) for i in range(50)]
    write_safetensors(os.path.join(stage.run["output"], "samples.safetensors"), "correct", correct)
    return {"metrics": {"echo_value": 100 * sum(correct) / len(correct)}}
BODIES["echo.measure"] = measured
"""

    @staticmethod
    def rot(path):
        """Changes the last bytes as a bad disk does: size and times stay."""
        before = path.stat()
        content = path.read_bytes()
        path.chmod(0o644)
        with open(path, "r+b") as file:
            file.write(content[:-80] + bytes(byte ^ 0xff for byte in content[-80:]))
        path.chmod(0o444)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def objects(self, stage):
        """Artifacts of a stage in the store: folders, or files of results without files."""
        found = []
        for path in sorted((self.store / "objects").glob("*/*")):
            result = path / "result.json" if path.is_dir() else path
            if json.loads(result.read_text())["stage"] == stage:
                found.append(path)
        return found

    def trials(self):
        return [trial for (trial,) in self.rows("SELECT id FROM trial WHERE current ORDER BY label")]

    def test_compare_reads_whole_samples_only(self):
        script = self.own_provider(self.MEASURED)
        catalogue = self.folder / "echo_catalogue.json"
        offered = json.loads(catalogue.read_text())
        offered["metrics"][0]["values"][0]["samples"] = {"tensor": "correct", "statistic": "share"}
        catalogue.write_text(json.dumps(offered))
        sweep = self.sweep("{echo: {value: [1, 2]}}", ["python3", str(script)])
        self.run_it(sweep)
        compare = ["compare", *self.trials(), "--run", self.run_folder]
        right = self.assay(*compare).stdout
        kept = sorted((self.run_folder / "samples").glob("*"))
        self.assertEqual(len(kept), 2)
        copy = kept[0].read_bytes()
        kept[0].unlink()
        kept[0].write_bytes(copy)
        self.rot(kept[0])
        done = self.assay(*compare)
        self.assertEqual(done.stdout, right, "the store holds it whole")
        self.assertIn(f"{kept[0]} is damaged: it does not hold what was published", done.stderr)
        self.rot(kept[1])  # of one file with the artifact's
        refused = self.assay(*compare, code=2)
        self.assertEqual(refused.stdout, "")
        self.assertIn("`assay run SWEEP` computes what is missing", refused.stderr)
        self.run_it(sweep)
        done = self.assay(*compare)
        self.assertEqual((done.stdout, done.stderr), (right, ""))

    def test_save_hands_out_whole_checkpoints_only(self):
        network = """
def network(stage):
    os.makedirs(stage.run["output"])
    write_safetensors(os.path.join(stage.run["output"], "model.safetensors"), "weight", [float(i) for i in range(50)])
    with open(os.path.join(stage.run["output"], "config.json"), "w") as file:
        file.write("{}")
    return stage.metrics()
BODIES["echo.value"] = network
"""
        sweep = self.sweep("{echo: {value: [1]}}", ["python3", str(self.own_provider(network))])
        self.run_it(sweep)
        save = ["save", *self.trials(), "--run", self.run_folder]
        self.assay(*save, "-o", self.folder / "one")
        self.rot(self.objects("echo.value")[0] / "model.safetensors")
        refused = self.assay(*save, "-o", self.folder / "two", code=2)
        self.assertIn("not whole in the store", refused.stderr)
        self.assertFalse((self.folder / "two").exists())
        self.run_it(sweep)
        self.assay(*save, "-o", self.folder / "two")
        self.assertEqual((self.folder / "two" / "model.safetensors").read_bytes(),
                         (self.folder / "one" / "model.safetensors").read_bytes())

    def test_an_artifact_that_rots_is_made_again_for_the_stage_that_reads_it(self):
        sweep = self.sweep("{echo_file: {value: [1, 2]}}")
        self.run_it(sweep)
        (artifact, _) = self.objects("echo.file")
        self.rot(artifact / "samples.safetensors")
        for result in self.objects("echo.measure"):
            result.unlink()
        said = self.run_it(sweep)
        self.assertIn("2 of 2 trials done", said)
        self.assertIn("is gone from the store and is made again", said)
        self.assertNotIn("changed since the plan", said)
        self.assertEqual(self.values(), [1, 2])
        self.assertEqual(len(list((self.store / "damaged").glob("*"))), 1)

    def test_what_is_no_file_in_the_store_is_put_aside(self):
        sweep = self.sweep("{echo: {value: [1, 2, 3]}}")
        self.run_it(sweep)
        folder, link, pipe = self.objects("echo.value")
        for path in (folder, link, pipe):
            path.unlink()
        folder.mkdir()
        link.symlink_to("/nowhere/at/all")
        os.mkfifo(pipe)
        said = self.run_it(sweep)
        self.assertIn("3 of 3 trials done", said)
        self.assertEqual(said.count("damaged artifact moved to"), 3, said)
        self.assertEqual(self.values(), [1, 2, 3])
        (folder, _, _) = self.objects("echo.value")
        folder.unlink()
        folder.mkdir()
        self.run_it(sweep, "--force", "echo.value")

    # ---- the results database

    def test_a_result_that_is_changed_in_the_database_is_not_shown_and_comes_back_from_the_store(self):
        sweep = self.sweep("{echo: {value: [1, 2, 3]}}")
        self.run_it(sweep)
        right = self.assay("export", self.run_folder).stdout
        for change in ("UPDATE stage SET result = replace(result, '\"echo_value\":3', '\"echo_value\":8')",
                       "UPDATE stage SET result = replace(result, '\"echo_value\":', 'echo_value:')",
                       "UPDATE metric SET value = 8 WHERE value = 3",
                       "UPDATE trial SET method = 'another'"):
            with self.subTest(change=change):
                (self.run_folder / "results.sqlite.xxh128").unlink()  # as if the run had been killed
                self.change(change)
                for command in ("export", "board"):
                    refused = self.assay(command, self.run_folder, code=4)
                    self.assertIn("is not what was published", refused.stderr)
                self.assertIn("0 stages run, 6 found", self.run_it(sweep))
                self.assertEqual(self.assay("export", self.run_folder).stdout, right)

    def change(self, statement):
        with sqlite3.connect(self.run_folder / "results.sqlite") as database:
            self.assertGreater(database.execute(statement).rowcount, 0)
        database.close()

    def test_what_is_changed_in_the_database_of_an_ended_run_is_not_shown_and_comes_back(self):
        sweep = self.sweep("{echo: {value: [1, 2, 3]}}")
        self.run_it(sweep)
        right = self.assay("export", self.run_folder).stdout
        for change in ("UPDATE trial SET label = 'another'", "UPDATE metric SET higher_is_better = 1 - higher_is_better",
                       "UPDATE stage SET wall_s = 100", "DELETE FROM metric WHERE value = 3"):
            with self.subTest(change=change):
                self.change(change)
                for command, *arguments in (("export",), ("board",), ("query", "SELECT * FROM metric")):
                    refused = self.assay(command, self.run_folder, *arguments, code=4)
                    self.assertIn("it was changed after its run ended", refused.stderr)
                said = self.run_it(sweep)
                self.assertIn("moved it to", said)
                self.assertIn("0 stages run, 6 found", said)
                self.assertEqual(self.assay("export", self.run_folder).stdout, right)
                self.assertEqual(self.assay("query", self.run_folder, "SELECT max(wall_s) < 50 FROM stage", "--format", "csv").stdout.split()[-1], "1")

    def lose_database(self, lose, what):
        sweep = self.sweep("{echo_sleep: {value: [1, 2, 3, 4, 5, 6], seconds: [0.5]}}")
        run = self.begin(sweep)
        self.wait_until(self.published, "the first publication")
        lose()
        said = self.end(run, code=4)
        self.assertIn(what, said)
        self.assertIn("run the same command again; it rebuilds the database from the store", said)
        self.assertIn("6 of 6 trials done", self.run_it(sweep))
        self.assertEqual(self.values(), [1, 2, 3, 4, 5, 6])

    def test_a_database_that_is_removed_meanwhile_is_missed(self):
        self.lose_database(lambda: (self.run_folder / "results.sqlite").unlink(), "it was removed while this run wrote to it")

    def test_a_database_that_is_replaced_meanwhile_is_missed(self):
        def replace():
            shutil.copy(self.run_folder / "results.sqlite", self.folder / "copy")
            (self.folder / "copy").rename(self.run_folder / "results.sqlite")
        self.lose_database(replace, "it was replaced while this run wrote to it")

    def test_a_log_of_the_database_that_is_emptied_meanwhile_is_missed(self):
        self.lose_database(lambda: os.truncate(self.run_folder / "results.sqlite-wal", 0), "while this run wrote to it")

    # ---- folders of the store

    def test_folders_that_vanish_are_no_fault_of_the_stages(self):
        for gone, code in (("partial", 0), ("tmp", 0), (".", None)):
            with self.subTest(gone=gone):
                shutil.rmtree(self.store, ignore_errors=True)
                shutil.rmtree(self.run_folder, ignore_errors=True)
                sweep = self.sweep("{echo_long: {value: [1, 2, 3, 4], steps: [30], step_s: [0.05]}}")
                run = self.begin(sweep)
                self.wait_until(lambda: list((self.store / "partial").glob("*/*/*")), "the first checkpoint")
                shutil.rmtree(self.store / gone, ignore_errors=True)
                output, said = run.communicate(timeout=100)
                if code is not None:
                    self.assertEqual(run.returncode, code, said)
                self.assertIn("4 of 4 trials done", self.run_it(sweep))
                self.assertEqual(self.values(), [1, 2, 3, 4])
                self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome = 'method'"), [(0,)])

    def test_a_stage_that_leaves_what_cannot_be_published_fails_alone(self):
        bodies = """
import shutil
def leave(stage):
    how, output = stage.parameter("message", ""), stage.run["output"]
    if how == "folder":
        os.makedirs(os.path.join(output, "result.json"))
        open(os.path.join(output, "x"), "w").close()
    elif how == "removed":
        shutil.rmtree(os.path.dirname(output))
    elif how == "link":
        os.makedirs(output)
        os.symlink("/dev/full", os.path.join(output, "result.json"))
    elif how == "file":
        shutil.rmtree(os.path.dirname(output))
        open(os.path.dirname(output), "w").close()
    return stage.metrics()
BODIES["echo.fail"] = leave
"""
        sweep = self.sweep("{echo: {value: [1, 2, 3]}, echo_fail: {message: [folder, removed, link, file, fine]}}",
                           ["python3", str(self.own_provider(bodies))])
        said = self.run_it(sweep, code=1)
        self.assertIn("4 of 8 trials done", said)
        self.assertEqual(self.rows("SELECT kind, count(*) FROM stage WHERE state = 'failed' GROUP BY kind"), [("data", 4)], said)
        self.assertIn("4 of 8 trials done", self.run_it(sweep, code=1))


if __name__ == "__main__":
    main()
