#!/usr/bin/env python3
"""Stopping, losing and sharing a run, from outside: signals before and during it, who holds its folder, outputs that
cannot be written, folders that may only be read, what somebody else does to its files. Uses the echo provider.

    tests/e2e/stop_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

from cases import EchoTest, main, options

SLOW_START = """import os, socket, time
time.sleep(60)
"""


def has_namespaces():
    return subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True).returncode == 0


class StopTest(EchoTest):
    def sweep(self, methods, name="stopped", command=None, settings="stall_timeout: 1m"):
        command = command or [str(Path(options.provider).resolve())]
        path = self.folder / f"{name}.yaml"
        path.write_text(f"""assay: 1
name: {name}
providers:
  - {{command: {json.dumps(command)}}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}, seed: [0]}}
evaluate:
  - {{metric: echo_value}}
run: {{max_failures: 100%, {settings}}}
""")
        return path

    def command(self, sweep, *arguments, out=None):
        return [str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(out or self.run_folder), "--jobs", "2",
                *arguments]

    def assay(self, *arguments, timeout=60, **how):
        return subprocess.run([str(Path(options.assay).resolve()), *map(str, arguments)], timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL, **{"env": self.environment, "capture_output": True, **how})

    def run_it(self, sweep, *arguments, timeout=60, **how):
        return subprocess.run(self.command(sweep, *arguments), timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                              **{"env": self.environment, "capture_output": True, **how})

    def begin(self, sweep, *arguments, **how):
        process = subprocess.Popen(self.command(sweep, *arguments), text=True, stdin=subprocess.DEVNULL,
                                   **{"env": self.environment, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how})
        self.addCleanup(process.kill)
        return process

    def until(self, what, holds, seconds=30):
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            value = holds()
            if value:
                return value
            time.sleep(0.02)
        self.fail(f"waited {seconds} s for: {what}")

    def status(self):
        try:
            return json.loads((self.run_folder / "status.json").read_text())
        except OSError:
            return {"state": "", "slots": []}

    def until_it_works(self):
        return self.until("a stage that runs", lambda: any(slot["stage"] for slot in self.status()["slots"]))

    def children(self, pid):
        return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]

    def rows(self, query):
        with sqlite3.connect(f"file:{self.run_folder}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    # ---- signals

    def test_before_anything_runs_every_stop_signal_is_3_at_once(self):
        slow = self.folder / "slow.py"
        slow.write_text(SLOW_START)
        sweep = self.sweep("{echo: {}}", command=["python3", str(slow)])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
            with self.subTest(signal=number.name):
                process = self.begin(sweep)
                self.until("the provider", lambda: self.children(process.pid))
                before = time.monotonic()
                process.send_signal(number)
                _, said = process.communicate(timeout=20)
                self.assertEqual(process.returncode, 3, said)
                self.assertIn("stopped before anything ran", said)
                self.assertLess(time.monotonic() - before, 5)
        self.assertFalse(self.run_folder.exists())

    def test_nohup_is_honoured(self):
        sweep = self.sweep("{echo_sleep: {seconds: [2]}}")
        process = self.begin(sweep, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.until_it_works()
        process.send_signal(signal.SIGHUP)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, said)

    def test_two_signals_within_seconds_are_one_stop(self):
        sweep = self.sweep("{echo_long: {steps: [400], step_s: [0.5]}}")
        process = self.begin(sweep)
        self.until("a checkpoint", lambda: any((self.folder / "store" / "partial").glob("*/*/*")))
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGUSR1):
            process.send_signal(number)
            time.sleep(0.05)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3, said)
        self.assertNotIn("killing", said)
        self.assertIn("stopped as asked", said)

    def test_executors_do_not_die_of_signals_to_the_whole_job(self):
        process = self.begin(self.sweep("{echo_sleep: {seconds: [2]}}"))
        self.until_it_works()
        for executor in self.until("executors", lambda: self.children(process.pid)):
            for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
                os.kill(executor, number)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, said)
        self.assertEqual(self.rows("SELECT count(*) FROM attempt WHERE outcome != 'done'"), [(0,)])

    def test_cancel_stops_a_run(self):
        process = self.begin(self.sweep("{echo_long: {steps: [400], step_s: [0.1]}}"))
        self.until_it_works()
        asked = self.assay("cancel", self.run_folder)
        self.assertEqual(asked.returncode, 0, asked.stderr)
        process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3)

    def test_a_stopped_run_that_was_forced_says_to_go_on_without_it(self):
        sweep = self.sweep("{echo_long: {steps: [100], step_s: [0.05]}}")
        for arguments, goes_on in (([], "goes on from here\n"), (["--force", "echo.long"], "goes on from here, without --force")):
            process = self.begin(sweep, *arguments)
            self.until_it_works()
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=30)
            self.assertEqual(process.returncode, 3)
            self.assertIn(goes_on, said)
            (self.run_folder / "status.json").unlink()

    def test_a_file_in_its_folder_stops_a_run(self):
        process = self.begin(self.sweep("{echo_long: {steps: [400], step_s: [0.1]}}"))
        self.until_it_works()
        request = self.run_folder / "run.cancel"
        request.write_text(json.dumps({"token": "of another run"}))
        self.until("the request of another run to go", lambda: not request.exists())
        time.sleep(1)
        self.assertIsNone(process.poll())
        token = json.loads((self.run_folder / "run.lock").read_text())["token"]
        request.write_text(json.dumps({"token": token}))
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 3, said)
        self.assertIn("assay cancel", said)

    # ---- who holds the folder

    def test_starts_at_the_same_moment_see_one_run(self):
        sweep = self.sweep("{echo: {value: [1, 2]}}")
        for _ in range(4):
            shutil.rmtree(self.run_folder, ignore_errors=True)
            starts = [self.begin(sweep) for _ in range(3)]
            codes = []
            for start in starts:
                start.communicate(timeout=60)
                codes.append(start.returncode)
            self.assertLessEqual(set(codes), {0, 4})
            self.assertIn(0, codes)
            run = json.loads((self.run_folder / "run.json").read_text())["id"]
            roots = {path.stem for path in (self.folder / "store" / "roots").glob("*.json")
                     if json.loads(path.read_text())["folder"] == str(self.run_folder)}
            self.assertIn(run, roots)
            for root in roots:
                (self.folder / "store" / "roots" / f"{root}.json").unlink()
            self.assertEqual(roots, {run})

    def test_a_run_of_another_pid_name_space_is_respected(self):
        if not has_namespaces():
            self.skipTest("a pid name space cannot be made here: it takes root, and a root folder that is a mount point")
        sweep = self.sweep("{echo_sleep: {seconds: [3]}}")
        process = self.begin(sweep)
        self.until_it_works()
        other = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", *self.command(sweep)], env=self.environment,
                               capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        self.assertEqual(other.returncode, 4, other.stderr)
        self.assertIn("cannot be checked from here", other.stderr)
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, said)

    def test_a_lock_that_is_a_link_to_nowhere_is_refused_with_the_mend(self):
        self.run_folder.mkdir()
        (self.run_folder / "run.lock").symlink_to("nowhere")
        done = self.run_it(self.sweep("{echo: {}}"))
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("symbolic link", done.stderr)
        self.assertIn("remove it", done.stderr)

    # ---- outputs that cannot be written

    def test_exit_codes_do_not_depend_on_stderr(self):
        good, bad = self.sweep("{echo: {}}"), self.sweep("{echo_fail: {}}", name="bad")
        cases = {"good": (good, 0), "bad": (bad, 1), "refused": (self.folder / "nowhere.yaml", 2)}
        with open("/dev/full", "w", encoding="utf-8") as full:
            for name, (sweep, code) in cases.items():
                for how, stderr in (("full", full), ("closed", None)):
                    with self.subTest(case=name, stderr=how):
                        shutil.rmtree(self.run_folder, ignore_errors=True)
                        closing = {"preexec_fn": lambda: os.close(2)} if stderr is None else {"stderr": stderr}
                        done = self.run_it(sweep, capture_output=False, stdout=subprocess.DEVNULL, **closing)
                        self.assertEqual(done.returncode, code)
                        if code < 2:
                            self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])

    def test_a_reader_that_leaves_does_not_end_a_run(self):
        sweep = self.sweep("{echo: {value: [1, 2, 3, 4, 5, 6]}, echo_sleep: {seconds: [1]}}")
        process = self.begin(sweep, stderr=subprocess.STDOUT)
        process.stdout.readline()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=30), 0)
        self.assertEqual(self.status()["state"], "done")

    def test_tables_that_cannot_be_written_are_4(self):
        self.assertEqual(self.run_it(self.sweep("{echo: {}}")).returncode, 0)
        with open("/dev/full", "w", encoding="utf-8") as full:
            for arguments in (["board", self.run_folder], ["status", self.run_folder], ["plan", self.folder / "stopped.yaml"],
                              ["--help"], ["completion", "bash"]):
                with self.subTest(command=arguments[0]):
                    done = self.assay(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
                    self.assertEqual(done.returncode, 4, done.stderr)
            # A run is more than its board.
            done = self.run_it(self.sweep("{echo: {}}"), capture_output=False, stdout=full, stderr=subprocess.PIPE)
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_files_that_may_not_grow_are_4_and_not_a_signal(self):
        limit = 20 * 1024
        done = self.run_it(self.sweep("{echo_file: {value: [1, 2], samples: [10000]}}"),
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        self.assertEqual(done.returncode, 4, done.stderr)

    def test_messages_of_a_provider_cannot_forge_lines(self):
        sweep = self.sweep('{echo_fail: {message: ["\\e[2J\\rdone 99/99\\nfailed: forged\\u009b1m"]}}')
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 1, done.stderr)
        shown = self.assay("status", self.run_folder)
        for text in (done.stderr, shown.stdout):
            self.assertNotIn("\x1b", text)
            self.assertNotIn("\r", text)
            self.assertNotIn("\x9b", text)
            self.assertFalse([line for line in text.splitlines() if line.startswith("failed: forged")], text)
            self.assertIn("\\x1b[2J\\rdone 99/99\\nfailed: forged", text)

    # ---- what others do to its files

    def test_somebody_who_holds_the_database_only_delays(self):
        process = self.begin(self.sweep("{echo: {value: [1, 2]}, echo_sleep: {seconds: [1], value: [1, 2, 3]}}"))
        self.until_it_works()
        other = sqlite3.connect(self.run_folder / "results.sqlite", isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(8)
        other.execute("COMMIT")
        other.close()
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, said)
        self.assertIn("the run waits", said)

    def test_a_held_database_delays_the_start_too(self):
        sweep = self.sweep("{echo: {value: [1]}}")
        self.assertEqual(self.run_it(sweep).returncode, 0)
        other = sqlite3.connect(self.run_folder / "results.sqlite", isolation_level=None, timeout=10)
        other.execute("BEGIN EXCLUSIVE")
        process = self.begin(sweep)
        time.sleep(7)
        self.assertIsNone(process.poll())
        other.execute("COMMIT")
        _, said = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 0, said)

    def test_a_table_that_was_dropped_comes_back_from_the_store(self):
        sweep = self.sweep("{echo: {value: [1, 2]}}")
        self.run_it(sweep)
        before = self.assay("export", self.run_folder).stdout
        with sqlite3.connect(self.run_folder / "results.sqlite") as database:
            database.execute("DROP TABLE event")
        refused = self.assay("board", self.run_folder)
        self.assertEqual(refused.returncode, 4, refused.stderr)
        self.assertIn("lacks the table event", refused.stderr)
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("0 stages run", done.stderr)
        self.assertEqual(self.assay("export", self.run_folder).stdout, before)

    def test_a_finished_run_is_read_where_nothing_may_be_written(self):
        self.assertEqual(self.run_it(self.sweep("{echo: {value: [1, 2]}}")).returncode, 0)
        with sqlite3.connect(self.run_folder / "results.sqlite") as database:  # as an older version left it
            database.execute("PRAGMA journal_mode = WAL")
        (self.run_folder / "results.sqlite.xxh128").unlink()
        place = self.folder / "read only? 100%"
        place.mkdir()
        if subprocess.run(["mount", "--bind", str(self.run_folder), str(place)], capture_output=True).returncode != 0:
            self.skipTest("only root can mount")
        self.addCleanup(subprocess.run, ["umount", str(place)], check=False)
        subprocess.run(["mount", "-o", "remount,ro,bind", str(place)], check=True)
        for arguments in (["board", place], ["export", place], ["status", place],
                          ["query", place, "SELECT count(*) FROM trial"]):
            shown = self.assay(*arguments)
            self.assertEqual(shown.returncode, 0, f"{arguments[0]}: {shown.stderr}")

    def test_one_damaged_root_does_not_stop_other_runs(self):
        roots = self.folder / "store" / "roots"
        roots.mkdir(parents=True)
        (roots / "x.json").write_text('{"run":')
        sweep = self.sweep("{echo: {value: [1, 2]}}")
        done = self.run_it(sweep)
        self.assertEqual(done.returncode, 0, done.stderr)
        shutil.rmtree(self.run_folder)
        swept = self.assay("store", "gc", "--min-age", "1s")
        self.assertEqual(swept.returncode, 0, swept.stderr)
        self.assertIn("x.json", swept.stderr)
        self.assertIn("is removed", swept.stderr)
        again = self.run_it(sweep)
        self.assertIn("0 stages run, 4 found", again.stderr)

    def test_status_knows_a_run_that_was_killed_by_more_than_its_number(self):
        process = self.begin(self.sweep("{echo_sleep: {seconds: [30]}}"))
        self.until_it_works()
        process.kill()
        process.communicate(timeout=10)
        file = self.run_folder / "status.json"
        status = json.loads(file.read_text())
        status["pid"] = status["process"]["pid"] = os.getpid()  # used again
        file.write_text(json.dumps(status))
        shown = self.assay("status", self.run_folder, "--watch", timeout=20)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("is gone", shown.stdout)
        time.sleep(2)
        self.assertEqual(self.assay("status", self.run_folder).stdout, shown.stdout, "its clock stands still")

    # ---- places

    def test_places_that_do_not_do_are_named(self):
        sweep = self.sweep("{echo: {}}")
        for variable, value, text in ((b"ASSAY_STORE", os.fsencode(self.folder / "st") + b"\xff", "ASSAY_STORE"),
                                      (b"TMPDIR", os.fsencode(self.folder / "nowhere"), "TMPDIR")):
            cache = {b"XDG_CACHE_HOME": os.fsencode(self.folder / text)}  # a provider that is known is not asked again
            environment = {**{os.fsencode(k): os.fsencode(v) for k, v in self.environment.items()}, **cache, variable: value}
            done = self.run_it(sweep, env=environment)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn(text, done.stderr)

    # ---- launchers

    def test_srun_without_pmix_is_4_with_the_mend_and_one_task_needs_no_mpi(self):
        sweep = self.sweep("{echo: {}}")
        step = {**self.environment, "SLURM_STEP_ID": "0", "SLURM_PROCID": "0", "SLURM_JOB_ID": ""}
        if (Path(options.assay).resolve().parent.parent / "lib/assay/assay_mpi.so").exists():
            done = self.run_it(sweep, env={**step, "SLURM_STEP_NUM_TASKS": "2"})
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("srun --mpi=pmix", done.stderr)
        done = self.run_it(sweep, env={**step, "SLURM_STEP_NUM_TASKS": "1"})
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_slots_are_those_of_a_slurm_task(self):
        done = subprocess.run([word for word in self.command(self.sweep("{echo_sleep: {seconds: [2]}}"))
                               if word not in ("--jobs", "2")], timeout=60, capture_output=True, text=True,
                              env={**self.environment, "SLURM_PROCID": "0", "SLURM_CPUS_PER_TASK": "1"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.status()["slots"]), 1)


if __name__ == "__main__":
    main()
