#!/usr/bin/env python3
"""`assay run` from outside: exit codes, stop and resume, failures and their retries, the lock. Uses the echo provider.

    tests/e2e/run_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from cases import EchoTest, main, options

class RunTest(EchoTest):
    def sweep(self, methods, settings="stall_timeout: 1m", name="tried", metric="metric: echo_value"):
        path = self.folder / f"{name}.yaml"
        path.write_text(f"""assay: 1
name: {name}
providers:
  - {{command: ["{Path(options.provider).resolve()}"]}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}, seed: [0]}}
evaluate:
  - {{{metric}}}
run: {{max_failures: 100%, {settings}}}
""")
        return path

    def command(self, sweep, *arguments):
        return [str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(self.folder / "run"), "--jobs", "2",
                *arguments]

    def run_it(self, sweep, *arguments, **environment):
        return subprocess.run(self.command(sweep, *arguments), env={**self.environment, **environment}, text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)

    def begin(self, sweep, *arguments):
        process = subprocess.Popen(self.command(sweep, *arguments), env=self.environment, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        return process

    def rows(self, query):
        with sqlite3.connect(f"file:{self.folder}/run/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def status(self):
        return json.loads((self.folder / "run" / "status.json").read_text())

    def wait_for_checkpoint(self):
        limit = time.monotonic() + 20
        while time.monotonic() < limit:
            if any((self.folder / "store" / "partial").glob("*/*/*")):
                return
            time.sleep(0.02)
        self.fail("no checkpoint appeared")

    def test_all_done_is_0_and_a_second_run_has_nothing_to_do(self):
        sweep = self.sweep("{echo: {value: [1, 2]}}")
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("4 stages run, 0 found", done.stderr)
        again = self.run_it(sweep)
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("0 stages run, 4 found", again.stderr)
        self.assertEqual(self.status()["state"], "done")

    def test_in_a_pipe_there_are_lines_without_control_codes(self):
        done = self.run_it(self.sweep("{echo: {value: [1]}}"))
        self.assertNotIn("\x1b", done.stderr)
        self.assertIn("done 2/2 echo.measure", done.stderr)

    def test_shards_of_a_metric_are_stages_and_their_merge_is_its_value(self):
        done = self.run_it(self.sweep("{echo: {value: [6]}}", metric="metric: echo_sum, shards: 4"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("6 stages run, 0 found", done.stderr)
        self.assertEqual(self.rows("SELECT count(*) FROM stage WHERE name = 'echo.part'"), [(4,)])
        self.assertEqual(self.rows("SELECT metric, value FROM metric WHERE name = 'echo_sum'"), [("echo_sum", 6)])

    def test_quiet_says_nothing_of_success(self):
        done = self.run_it(self.sweep("{echo: {value: [1]}}"), "--quiet")
        self.assertNotIn("done", done.stderr)

    def test_a_failed_trial_is_1_and_is_retried_only_when_asked(self):
        sweep = self.sweep("{echo: {}, echo_fail: {recovers_after: [1]}}")
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("it was asked to fail", done.stderr)
        self.assertEqual(self.rows("SELECT count(*) FROM stage WHERE state = 'blocked'"), [(1,)])
        again = self.run_it(sweep)
        self.assertEqual(again.returncode, 1, again.stderr)
        self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome = 'method'"), [(1,)])
        retried = self.run_it(sweep, "--retry-failed")
        self.assertEqual(retried.returncode, 0, retried.stderr)

    def test_a_crash_is_retried_at_once(self):
        done = self.run_it(self.sweep("{echo_crash: {recovers_after: [2]}}"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome = 'crash'"), [(2,)])

    def test_a_crash_that_stays_is_quarantined(self):
        done = self.run_it(self.sweep("{echo_crash: {}}"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("quarantined", done.stderr)
        self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome = 'crash'"), [(3,)])

    def test_a_stage_that_stalls_is_killed_and_recorded(self):
        done = self.run_it(self.sweep("{echo_hang: {}}", "stall_timeout: 1s"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(self.rows("SELECT outcome FROM attempt"), [("timeout",)])

    def test_a_signal_is_3_and_the_same_command_goes_on_from_the_checkpoint(self):
        sweep = self.sweep("{echo_long: {steps: [40], step_s: [0.05]}}")
        process = self.begin(sweep)
        self.wait_for_checkpoint()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3, said)
        self.assertEqual(self.status()["state"], "stopped")
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.rows("SELECT outcome FROM attempt WHERE stage = (SELECT key FROM stage WHERE name = 'echo.long') "
                                   "ORDER BY number"), [("lost",), ("done",)])

    def test_a_second_signal_does_not_wait(self):
        process = self.begin(self.sweep("{echo_hang: {}}"))
        limit = time.monotonic() + 20
        while time.monotonic() < limit and not list(self.folder.glob("run/status.json")):
            time.sleep(0.02)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        before = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3, said)
        self.assertLess(time.monotonic() - before, 5)

    def test_the_time_limit_is_3(self):
        done = self.run_it(self.sweep("{echo_long: {steps: [400], step_s: [0.05]}}", "time_limit: 3s"))
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_bad_sweep_is_2_and_leaves_nothing(self):
        done = self.run_it(self.sweep("{ecko: {}}"))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("ecko", done.stderr)
        self.assertFalse((self.folder / "run").exists())

    def test_a_missing_sweep_is_2(self):
        self.assertEqual(self.run_it(self.folder / "nowhere.yaml").returncode, 2)

    def test_the_folder_of_another_sweep_is_2(self):
        self.run_it(self.sweep("{echo: {}}"))
        done = self.run_it(self.sweep("{echo: {}}", name="other"))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("tried", done.stderr)

    def test_a_run_that_lives_holds_its_folder(self):
        sweep = self.sweep("{echo_sleep: {seconds: [5]}}")
        process = self.begin(sweep)
        limit = time.monotonic() + 20
        while time.monotonic() < limit and not (self.folder / "run" / "run.lock").exists():
            time.sleep(0.02)
        second = self.run_it(sweep)
        self.assertEqual(second.returncode, 4, second.stderr)
        self.assertIn(str(process.pid), second.stderr)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)

    def test_force_runs_a_stage_and_what_rests_on_it_again(self):
        sweep = self.sweep("{echo: {value: [1]}}")
        self.run_it(sweep)
        done = self.run_it(sweep, "--force", "echo.value")
        self.assertIn("2 stages run, 0 found", done.stderr)
        wrong = self.run_it(sweep, "--force", "echo.valeu")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("echo.value", wrong.stderr)

    def test_a_full_disk_is_4_and_the_same_command_goes_on_when_there_is_room(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)], capture_output=True).returncode != 0:
            self.skipTest("only root can mount a small file system")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=False)
        sweep = self.sweep("{echo_file: {value: [1, 2, 3, 4, 5, 6, 7, 8], samples: [10000]}}")
        full = self.run_it(sweep, ASSAY_STORE=str(disk / "store"))
        self.assertEqual(full.returncode, 4, full.stderr)
        # Either a stage or its publication meets the end of the disk.
        self.assertRegex(full.stderr, "the disk of the store is full|store: cannot write .*: No space left on device")
        self.assertIn("assay store gc", full.stderr)
        subprocess.run(["mount", "-o", "remount,size=60m", str(disk)], check=True)
        done = self.run_it(sweep, ASSAY_STORE=str(disk / "store"))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_store_that_cannot_be_written_is_4(self):
        (self.folder / "file").write_text("")
        done = self.run_it(self.sweep("{echo: {}}"), ASSAY_STORE=str(self.folder / "file" / "store"))
        self.assertEqual(done.returncode, 4, done.stderr)


if __name__ == "__main__":
    main()
