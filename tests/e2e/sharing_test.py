#!/usr/bin/env python3
"""`assay run` beside other runs, broken installations and people who clean up: what it shares, waits for and makes again.

    tests/e2e/sharing_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from cases import EchoTest, main, options

class SharingTest(EchoTest):
    def sweep(self, methods, command=None, metric="metric: echo_value", settings="stall_timeout: 1m"):
        path = self.folder / "shared.yaml"
        words = json.dumps(command or [str(Path(options.provider).resolve())])
        path.write_text(f"""assay: 1
name: shared
providers:
  - {{command: {words}}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}}}
evaluate:
  - {{{metric}}}
run: {{{settings}}}
""")
        return path

    def begin(self, sweep, out, jobs=2):
        said = self.folder / f"{out}.txt"
        with open(said, "w") as file:
            process = subprocess.Popen([str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(self.folder / out), "--jobs",
                                        str(jobs)], env=self.environment, stdout=subprocess.DEVNULL, stderr=file, stdin=subprocess.DEVNULL)
        process.said = said
        self.addCleanup(process.kill)
        return process

    def end(self, process, code=0):
        process.wait(timeout=100)
        said = process.said.read_text()
        self.assertEqual(process.returncode, code, said)
        return said

    def rows(self, out, query):
        with sqlite3.connect(f"file:{self.folder}/{out}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def artifacts(self, stage):
        found = []
        for path in (self.folder / "store" / "objects").glob("*/*.json"):
            try:
                if json.loads(path.read_text())["stage"] == stage:
                    found.append(path)
            except (OSError, ValueError):
                pass
        return found

    def test_two_runs_that_share_long_stages_compute_each_once(self):
        sweep = self.sweep("{echo_long: {value: [1, 2, 3, 4, 5, 6, 7, 8], steps: [40], step_s: [0.1]}}")
        runs = [self.begin(sweep, out) for out in ("one", "two")]
        for run in runs:
            self.end(run)
        done = [self.rows(out, "SELECT count(*) FROM attempt a JOIN stage s ON s.key = a.stage WHERE s.name = 'echo.long' "
                               "AND a.outcome = 'done'")[0][0] for out in ("one", "two")]
        self.assertEqual(sum(done), 8, done)
        for out in ("one", "two"):
            self.assertEqual(self.rows(out, "SELECT count(*) FROM attempt WHERE outcome NOT IN ('done')"), [(0,)])
            self.assertEqual(self.rows(out, "SELECT count(*) FROM metric WHERE value IS NULL"), [(0,)])

    def test_an_artifact_that_somebody_deletes_is_made_again(self):
        run = self.begin(self.sweep(f"{{echo: {{value: {list(range(40))}}}}}", metric="metric: echo_sum, shards: 3"), "run", jobs=1)
        deleted = set()
        while run.poll() is None:
            for path in self.artifacts("echo.value"):
                if path.name not in deleted:
                    deleted.add(path.name)
                    path.unlink()
        said = self.end(run)
        self.assertIn("40 of 40 trials done", said)
        self.assertGreater(len(deleted), 0)
        self.assertIn("is gone from the store and is made again", said)

    def test_a_copied_run_folder_is_a_run_of_its_own(self):
        sweep = self.sweep("{echo_long: {value: [1, 2], steps: [60], step_s: [0.05]}}")
        run = self.begin(sweep, "one")
        limit = time.monotonic() + 30
        while len(list((self.folder / "store" / "partial").glob("*/*/*"))) < 2 and time.monotonic() < limit:
            time.sleep(0.02)
        run.send_signal(signal.SIGTERM)
        self.end(run, code=3)
        shutil.copytree(self.folder / "one", self.folder / "two")
        runs = [self.begin(sweep, out) for out in ("one", "two")]
        for each in runs:
            self.assertIn("2 of 2 trials done", self.end(each))
        ids = [json.loads((self.folder / out / "run.json").read_text())["id"] for out in ("one", "two")]
        self.assertNotEqual(*ids)
        for out in ("one", "two"):
            self.assertEqual(self.rows(out, "SELECT count(*) FROM attempt WHERE outcome IN ('method', 'data', 'io')"), [(0,)])
        (self.folder / "two").rename(self.folder / "moved")
        self.end(self.begin(sweep, "moved"))
        self.assertEqual(json.loads((self.folder / "moved" / "run.json").read_text())["id"], ids[1], "a folder that is moved is the same run")
        shutil.copytree(self.folder / "moved", self.folder / "copied")
        self.end(self.begin(sweep, "copied"))
        self.assertNotEqual(json.loads((self.folder / "copied" / "run.json").read_text())["id"], ids[1], "a copy of it is not")

    def spent(self):
        """Seconds that went into the checkpoints of the one stage that has some."""
        for file in (self.folder / "store" / "partial").glob("*/*/.assay-spent.json"):
            try:
                return json.loads(file.read_text())["wall_s"]
            except (OSError, ValueError):
                pass
        return 0

    def test_a_resumed_stage_has_the_cost_and_the_series_of_all_its_pieces(self):
        sweep = self.sweep("{echo_long: {value: [1], steps: [60], step_s: [0.05]}}")
        for number in signal.SIGTERM, signal.SIGKILL:
            before = self.spent()
            run = self.begin(sweep, "run", jobs=1)
            limit = time.monotonic() + 60
            while self.spent() < before + 0.5:
                self.assertLess(time.monotonic(), limit)
                time.sleep(0.02)
            run.send_signal(number)
            run.wait(timeout=30)
        self.end(self.begin(sweep, "run", jobs=1))
        [(wall_s, result)] = self.rows("run", "SELECT wall_s, result FROM stage WHERE name = 'echo.long'")
        self.assertEqual(json.loads(result)["cost"]["wall_s"], wall_s)
        self.assertGreater(wall_s, 2.7, "60 steps of 0.05 s")
        losses = json.loads(result)["series"]["echo_loss"]["points"]
        steps = [step for step, _ in losses]
        self.assertEqual(steps, sorted(set(steps)), "no step is told twice")
        self.assertEqual((steps[0], steps[-1]), (1, 60))
        self.assertGreater(len(steps), 50, "a kill loses what was on its way, not what came before")
        self.assertEqual(losses, [[step, 1 / step] for step in steps])
        [(last_s,)] = self.rows("run", "SELECT ended_unix_s - started_unix_s FROM attempt WHERE outcome = 'done' AND stage IN "
                                       "(SELECT key FROM stage WHERE name = 'echo.long')")
        self.assertLess(last_s, wall_s - 0.8, "it began anew")

    def broken_while(self, flag):
        """A provider that cannot be started while the file is there."""
        script = self.folder / "provider.sh"
        script.write_text(f"#!/bin/sh\nif [ -e {flag} ]; then echo libfoo.so.1: cannot open >&2; exit 127; fi\nexec {Path(options.provider).resolve()}\n")
        script.chmod(0o755)
        return [str(script)]

    def test_a_provider_that_is_away_for_a_moment_costs_no_stage(self):
        flag = self.folder / "broken"
        sweep = self.sweep(f"{{echo_sleep: {{value: {list(range(20))}, seconds: [0.2]}}}}", self.broken_while(flag))
        run = self.begin(sweep, "run")
        while not self.artifacts("echo.sleep"):
            self.assertIsNone(run.poll())
            time.sleep(0.02)
        flag.write_text("")
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        time.sleep(1)
        flag.unlink()
        self.assertIn("20 of 20 trials done", self.end(run))
        self.assertEqual(self.rows("run", "SELECT count(*) FROM stage WHERE state != 'done'"), [(0,)])

    def test_a_provider_that_cannot_start_ends_the_run_and_fails_no_stage(self):
        flag = self.folder / "broken"
        sweep = self.sweep("{echo: {value: [1, 2, 3]}}", self.broken_while(flag))
        subprocess.run([str(Path(options.assay).resolve()), "plan", str(sweep)], env=self.environment, check=True, capture_output=True)
        flag.write_text("")
        said = self.end(self.begin(sweep, "run"), code=4)
        self.assertIn("no usable slot", said)
        self.assertIn("libfoo.so.1: cannot open", said)
        self.assertEqual(self.rows("run", "SELECT DISTINCT state FROM stage"), [("pending",)])
        flag.unlink()
        self.assertIn("3 of 3 trials done", self.end(self.begin(sweep, "run")))

    def test_what_executors_started_ends_with_a_run_that_is_killed(self):
        pids = self.folder / "pids"
        command = ["sh", "-c", f"sleep 300 & echo $! >> {pids}; setsid sleep 300 & echo $! >> {pids}; exec {Path(options.provider).resolve()}"]
        run = self.begin(self.sweep("{echo_sleep: {value: [1, 2], seconds: [60]}}", command), "run")
        while not (self.folder / "run" / "status.json").exists() or len(pids.read_text().split()) < 6:  # two were the catalogue's
            self.assertIsNone(run.poll())
            time.sleep(0.05)
        run.kill()
        run.wait()
        left = pids.read_text().split()[2:]
        limit = time.monotonic() + 20
        while [pid for pid in left if Path("/proc", pid).exists()] and time.monotonic() < limit:
            time.sleep(0.05)
        self.assertEqual([pid for pid in left if Path("/proc", pid).exists()], [])

    def test_a_failure_of_one_cause_does_not_stop_what_is_independent(self):
        run = self.begin(self.sweep("{echo: {value: [1, 2]}, echo_fail: {message: [a, b]}}"), "run")
        self.assertIn("2 of 4 trials done", self.end(run, code=1))


if __name__ == "__main__":
    main()
