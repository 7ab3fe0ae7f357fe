#!/usr/bin/env python3
"""What is told before anything runs: a provider that answers `inspect` (echo.py; echo_provider does not) and what `plan` makes of it.

    tests/e2e/inspect_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

from cases import EchoTest, main, options

ECHO = Path(__file__).resolve().parent.parent / "providers" / "echo.py"
class InspectTest(EchoTest):
    def sweep(self, methods, settings="stall_timeout: 1m", provider=f'"{sys.executable}", "{ECHO}"'):
        path = self.folder / "tried.yaml"
        path.write_text(f"""assay: 1
providers:
  - {{command: [{provider}]}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}, seed: [0]}}
evaluate:
  - {{metric: echo_value}}
run: {{{settings}}}
""")
        return path

    def assay(self, *arguments):
        return subprocess.run([str(Path(options.assay).resolve()), *map(str, arguments)], env=self.environment, text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL, cwd=self.folder)

    def test_every_mistake_is_told_before_anything_runs(self):
        sweep = self.sweep("{echo: {value: [1, 2000000, 3000000]}}")
        for command in ("plan", "run"):
            ended = self.assay(command, sweep)
            self.assertEqual(ended.returncode, 2, ended.stderr)
            self.assertIn("2 mistakes; nothing was run", ended.stderr)
            for value in ("2000000", "3000000"):
                self.assertIn(f"tried.yaml:7:31: value = {value}: echoes are at most 1e6; lower it (nothing echo", ended.stderr)
        self.assertFalse((self.folder / "runs").exists())

    def test_a_provider_that_does_not_inspect_is_not_asked(self):
        ended = self.assay("plan", self.sweep("{echo: {value: [1, 2000000]}}", provider=f'"{Path(options.provider).resolve()}"'))
        self.assertEqual(ended.returncode, 0, ended.stderr)

    def test_what_is_impossible_may_be_skipped(self):
        sweep = self.sweep("{echo: {value: [1, 2000000]}}", "impossible: skip")
        planned = self.assay("plan", sweep)
        self.assertEqual(planned.returncode, 0, planned.stderr)
        self.assertIn("Trials left out", planned.stdout)
        self.assertIn("echoes are at most 1e6", planned.stdout)
        done = self.assay("run", sweep)
        self.assertEqual(done.returncode, 0, done.stderr)
        with sqlite3.connect(f"file:{self.folder}/runs/tried/results.sqlite?mode=ro", uri=True) as database:
            self.assertEqual(database.execute("SELECT count(*) FROM trial").fetchall(), [(1,)])
        nothing = self.assay("plan", self.sweep("{echo: {value: [2000000]}}", "impossible: skip"))
        self.assertEqual(nothing.returncode, 2)
        self.assertIn("leaves no trial", nothing.stderr)

    def test_answers_are_remembered(self):
        sweep = self.sweep("{echo: {value: [1, 2]}}")
        self.assertEqual(self.assay("plan", sweep).returncode, 0)
        files = list((self.folder / "cache" / "assay" / "inspections").iterdir())
        self.assertEqual(len(files), 1)
        before = files[0].stat().st_mtime_ns
        self.assertEqual(self.assay("plan", sweep).returncode, 0)
        self.assertEqual(files[0].stat().st_mtime_ns, before)
        files[0].write_text("{")  # a damaged cache is started anew
        self.assertEqual(self.assay("plan", sweep).returncode, 0)
        self.assertIn("answers", files[0].read_text())

    def test_a_plan_predicts_a_run_with_other_seeds(self):
        sweep = self.sweep("{echo_sleep: {seconds: 0.3, value: [1, 2]}}")
        self.assertIn("there is none yet", self.assay("plan", sweep).stdout)
        self.assertEqual(self.assay("run", sweep).returncode, 0)
        planned = self.assay("plan", sweep, "--set", "trials.0.seed=[7]", "--format", "json")
        self.assertEqual(planned.returncode, 0, planned.stderr)
        rows = {row["stage"]: row for table in json.loads(planned.stdout) for row in table["rows"] if "stage" in row}
        self.assertEqual(rows["echo.sleep"]["to run"], 2)
        self.assertLess(0.6 / 1.5, rows["echo.sleep"]["time"])
        self.assertLess(rows["echo.sleep"]["time"], 0.6 * 1.5)


if __name__ == "__main__":
    main()
