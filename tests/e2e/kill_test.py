#!/usr/bin/env python3
"""Kills executors, coordinators and ranks of a run at random moments and holds the outcome against an undisturbed run.

A sweep of some hundred short stages is run once in peace. Then it is run again in another store; `--kills` times a process of
it gets SIGKILL, at a random moment or right when the store or the database is being written, and the same command is given
again. In the end:

  * the export is the same, byte for byte,
  * no artifact that was in the store at a kill has been made again, no stage has two attempts that ended well,
  * the database passes PRAGMA integrity_check; without it, and with a damaged one, the same command restores it from the store,
  * no executor has outlived its supervisor.

    tests/e2e/kill_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider --kills 50
    ... --launcher "mpirun --oversubscribe -n 2"
"""
import argparse
import os
import random
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = """assay: 1
name: storm
providers:
  - {{command: ["{provider}"]}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {{echo: {{value: [{values}]}}}}, seed: [0, 1]}}
  - {{model: nothing, method: {{echo_file: {{value: [1, 2, 3, 4, 5], samples: [50]}}}}, seed: [0, 1]}}
  - {{model: nothing, method: {{echo_sleep: {{value: [{sleeps}], seconds: [0.05]}}}}, seed: [0, 1]}}
  - {{model: nothing, method: {{echo_long: {{value: [1, 2, 3], steps: [8], step_s: [0.05]}}}}, seed: [0]}}
evaluate:
  - {{metric: echo_value}}
run: {{stall_timeout: 1m, max_failures: 100%}}
"""


class Failure(Exception):
    pass


def processes():
    """pid -> (parent, name) of all processes."""
    table = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            text = Path("/proc", entry, "stat").read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1:text.rindex(")")]
        state, parent = text[text.rindex(")") + 2:].split()[:2]
        if state != "Z":
            table[int(entry)] = (int(parent), name)
    return table


def descendants(root):
    table = processes()
    found, frontier = {}, {root}
    while frontier:
        frontier = {pid for pid, (parent, _) in table.items() if parent in frontier}
        found.update({pid: table[pid][1] for pid in frontier})
    return found


def marked(marker):
    """Processes whose environment holds the marker: those of this test, wherever they were re-parented."""
    found = {}
    for pid, (_, name) in processes().items():
        try:
            if marker in Path("/proc", str(pid), "environ").read_bytes():
                found[pid] = name
        except OSError:
            pass
    return found


class Storm:
    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.random = random.Random(options.seed)
        self.hung_launchers = 0
        self.marker = f"ASSAY_KILL_TEST={os.getpid()}.{options.seed}"
        self.sweep = folder / "storm.yaml"
        values = ", ".join(str(i) for i in range(options.values))
        sleeps = ", ".join(str(i) for i in range(6 * options.kills))  # else the sweep ends before the kills do
        self.sweep.write_text(SWEEP.format(provider=Path(options.provider).resolve(), values=values, sleeps=sleeps))

    def environment(self, store):
        name, value = self.marker.split("=")
        return {**os.environ, "ASSAY_STORE": str(self.folder / store), "XDG_CACHE_HOME": str(self.folder / "cache"),
                name: value, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def command(self, run, launcher=""):
        return [*shlex.split(launcher), str(Path(self.options.assay).resolve()), "run", str(self.sweep), "--out",
                str(self.folder / run), "--jobs", str(self.options.jobs), "--quiet"]

    def start(self, store, run):
        self.log = open(self.folder / "output.txt", "ab")
        return subprocess.Popen(self.command(run, self.options.launcher), env=self.environment(store), stdout=self.log,
                                stderr=self.log, stdin=subprocess.DEVNULL, start_new_session=True)

    def run_in_peace(self, store, run, launcher=""):
        done = subprocess.run(self.command(run, launcher), env=self.environment(store), capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"a run in peace ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stderr

    def export(self, store, run):
        done = subprocess.run([str(Path(self.options.assay).resolve()), "export", str(self.folder / run), "--format", "json"],
                              env=self.environment(store), capture_output=True, timeout=60)
        if done.returncode != 0:
            raise Failure(f"export ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
        return done.stdout

    def artifacts(self, store):
        """Name -> inode of what is published: a second rename over it would change the inode."""
        found = {}
        for shard in (self.folder / store / "objects").glob("*"):
            for path in shard.iterdir():
                found[path.name] = path.stat().st_ino
        return found

    def wait_for_write(self, run, store, process):
        """Until the database or the store moves: the kill then falls into renames and transactions."""
        watched = [self.folder / run / "results.sqlite-wal", self.folder / run / "results.sqlite",
                   self.folder / run / "results.sqlite-journal", self.folder / store / "tmp"]

        def stamp_of(path):
            try:
                found = path.stat()
                return found.st_mtime_ns, found.st_size
            except FileNotFoundError:
                return None

        def stamp():
            return [stamp_of(path) for path in watched]
        before, limit = stamp(), time.monotonic() + 2
        while process.poll() is None and time.monotonic() < limit and stamp() == before:
            pass

    def victim(self, process):
        family = descendants(process.pid)
        executors = [pid for pid, name in family.items() if name.startswith("echo_provider")]
        controls = [pid for pid, name in family.items() if name == "assay"] + [process.pid]
        kind = self.random.choice(["executor", "control"])
        if kind == "executor" and executors:
            return self.random.choice(executors), False
        return self.random.choice(controls), True

    def check_no_orphans(self):
        limit = time.monotonic() + 10
        while marked(self.marker.encode()):
            if time.monotonic() > limit:
                raise Failure(f"processes outlived their supervisor: {marked(self.marker.encode())}")
            time.sleep(0.05)

    def wait_for_end(self, process):
        """After a kill. Open MPI's mpirun waits for ever for a rank that died while it was connecting: then it goes too."""
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            left = [name for pid, name in marked(self.marker.encode()).items() if pid != process.pid]
            if not self.options.launcher or left:
                raise Failure(f"after a kill these do not end: {left or 'the coordinator'}") from None
            process.kill()
            process.wait()
            self.hung_launchers += 1

    def run_in_the_storm(self):
        kills = restarts = 0
        seen = {}
        process = self.start("store", "run")
        finished_early = 0
        while kills < self.options.kills:
            time.sleep(self.random.uniform(0, self.options.pause))
            if self.random.random() < 0.5:
                self.wait_for_write("run", "store", process)
            if process.poll() is not None:
                if process.returncode not in (0, 1):
                    raise Failure(f"the run ended with {process.returncode} by itself")
                finished_early += 1
                if finished_early > 3:  # nothing left to kill: go on with an empty store
                    break
                process = self.start("store", "run")
                continue
            pid, control = self.victim(process)
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            kills += 1
            if not control:
                continue
            self.wait_for_end(process)
            self.check_no_orphans()
            now = self.artifacts("store")
            for name, inode in seen.items():
                if now.get(name) != inode:
                    raise Failure(f"{name} was made again or lost")
            seen = now
            restarts += 1
            process = self.start("store", "run")
        if process.wait(timeout=300) != 0:
            raise Failure(f"the last run ended with {process.returncode}: see {self.folder}/output.txt")
        now = self.artifacts("store")
        for name, inode in seen.items():
            if now.get(name) != inode:
                raise Failure(f"{name} was made again or lost")
        return kills, restarts

    def rows(self, query):
        with sqlite3.connect(f"file:{self.folder}/run/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()

    def check_database(self):
        verdict = self.rows("PRAGMA integrity_check")
        if verdict != [("ok",)]:
            raise Failure(f"integrity_check: {verdict}")
        twice = self.rows("SELECT stage, count(*) FROM attempt WHERE outcome = 'done' GROUP BY stage HAVING count(*) > 1")
        if twice:
            raise Failure(f"stages that ended well twice: {twice[:5]}")

    def check_restored(self, reference, what):
        before = self.artifacts("store")
        said = self.run_in_peace("store", "run")
        if self.export("store", "run") != reference:
            raise Failure(f"the export differs after {what}")
        if self.artifacts("store") != before or self.rows("SELECT count(*) FROM attempt") != [(0,)]:
            raise Failure(f"stages ran again after {what}")
        return said

    def test(self):
        before = time.monotonic()
        self.run_in_peace("reference_store", "reference")
        calm_s = time.monotonic() - before
        reference = self.export("reference_store", "reference")
        stages = len(self.artifacts("reference_store"))
        kills, restarts = self.run_in_the_storm()
        if self.export("store", "run") != reference:
            (self.folder / "reference.json").write_bytes(reference)
            (self.folder / "storm.json").write_bytes(self.export("store", "run"))
            raise Failure(f"the export differs: {self.folder}/reference.json, storm.json")
        self.check_database()
        database = self.folder / "run" / "results.sqlite"
        attempts = dict(self.rows("SELECT outcome, count(*) FROM attempt GROUP BY outcome"))
        for path in self.folder.glob("run/results.sqlite*"):
            path.unlink()
        self.check_restored(reference, "the database was deleted")
        damaged = bytearray(database.read_bytes())
        damaged[:4096] = b"\xff" * 4096
        database.write_bytes(damaged)
        self.check_restored(reference, "the database was damaged")
        if not list(self.folder.glob("run/results.damaged-*.sqlite")):
            raise Failure("the damaged database was not moved aside")
        self.check_no_orphans()
        hung = f", launcher hung by itself {self.hung_launchers} times" if self.hung_launchers else ""
        print(f"{stages} stages, {kills} kills, {restarts} restarts{hung}; attempts {attempts}; "
              f"in peace {calm_s:.1f} s, all {time.monotonic() - before:.1f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", default="build/dev/tests/echo_provider")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--values", type=int, default=100, help="size of the sweep: about 4 stages a value")
    parser.add_argument("--pause", type=float, default=0.4, help="longest time between two kills, in seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--launcher", default="", help="for example: mpirun --oversubscribe -n 2")
    parser.add_argument("--keep", action="store_true", help="keep the folder")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="assay-kill-"))
    try:
        Storm(options, folder).test()
    except Failure as failure:
        print(f"FAILED (seed {options.seed}): {failure}; folder {folder}", file=sys.stderr)
        return 1
    if not options.keep:
        subprocess.run(["rm", "-rf", str(folder)], check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
