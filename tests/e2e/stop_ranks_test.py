#!/usr/bin/env python3
"""Stopping a run over MPI: a signal to any rank, or to mpirun, in a stage that writes checkpoints; each time the run ends in
order and the same command goes on. At the end the export must equal that of an undisturbed run byte for byte.

    tests/e2e/stop_ranks_test.py --assay build/release/bin/assay --provider build/release/tests/echo_provider --rounds 10

mpirun ends a job by itself when it is signalled: SIGCONT, a second later SIGTERM, another second later SIGKILL, and its own
exit code is 1 whatever the ranks say. So for mpirun status.json is what counts.
"""
import argparse
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = """assay: 1
name: stopped
providers:
  - {{command: ["{provider}"]}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {{echo_long: {{value: [1, 2, 3, 4, 5, 6], steps: [{steps}], step_s: [0.1]}}}}, seed: [0]}}
evaluate:
  - {{metric: echo_value}}
run: {{max_failures: 100%, stall_timeout: 2m}}
"""


class Job:
    """Three ranks under mpirun."""

    def __init__(self, options, folder, sweep):
        self.folder = folder
        self.environment = {**os.environ, "ASSAY_STORE": str(folder / "store"), "XDG_CACHE_HOME": str(folder / "cache"),
                            "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        self.run = folder / "run"
        self.program = str(Path(options.assay).resolve())
        self.command = ["mpirun", "--oversubscribe", "-n", "3", self.program, "run", str(sweep), "--out", str(self.run),
                        "--jobs", "1"]

    def start(self):
        self.log = open(self.folder / "log", "w", encoding="utf-8")
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self.log)

    def said(self):
        return (self.folder / "log").read_text()

    def ranks(self):
        found = {}
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        children = []
        for task in tasks:
            try:
                children += (task / "children").read_text().split()
            except OSError:  # a thread that has just ended
                continue
        for child in children:
            try:
                environment = (Path("/proc") / child / "environ").read_bytes().split(b"\0")
                if os.readlink(f"/proc/{child}/exe") == self.program:
                    rank = [e for e in environment if e.startswith(b"OMPI_COMM_WORLD_RANK=")]
                    found[int(rank[0].split(b"=")[1])] = int(child)
            except (OSError, IndexError):
                pass
        return found

    def status(self):
        try:
            return json.loads((self.run / "status.json").read_text())
        except OSError:
            return {"state": "", "stages_done": 0, "stages_reused": 0, "slots": []}

    def steps(self):
        """Steps in checkpoints."""
        total = 0
        for path in (self.folder / "store" / "partial").glob("*/*/checkpoint*"):
            try:
                total += int("".join(c for c in path.read_text() if c.isdigit()) or 0)
            except (OSError, ValueError):
                pass
        return total

    def until_it_advances(self):
        before = self.steps()
        limit = time.monotonic() + 60
        while time.monotonic() < limit and self.process.poll() is None:
            if len(self.ranks()) == 3 and self.status()["state"] == "running" and self.steps() > before:
                return True
            time.sleep(0.02)
        return False


def fail(job, text):
    print(f"FAILED: {text}\n{job.said()}", file=sys.stderr)
    sys.exit(1)


def stop_once(job, target):
    """One start, one SIGTERM to `target` (a rank, or 'mpirun'). False if the run had ended before."""
    job.start()
    if not job.until_it_advances():
        if job.process.wait(timeout=120) == 0:
            return False
        fail(job, "it does not work")
    time.sleep(random.uniform(0, 0.3))
    pid = job.process.pid if target == "mpirun" else job.ranks().get(target)
    before = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    code = job.process.wait(timeout=60)
    took = time.monotonic() - before
    status = job.status()
    if status["state"] != "stopped" or status["exit_code"] != 3:
        fail(job, f"SIGTERM to {target}: state {status['state']}, exit code {status['exit_code']}, mpirun says {code}")
    if target != "mpirun" and code != 3:
        fail(job, f"SIGTERM to rank {target}: mpirun says {code}")
    if not any((job.folder / "store" / "partial").glob("*/*/*")):
        fail(job, f"SIGTERM to {target}: no checkpoint")
    print(f"SIGTERM to {target}: mpirun says {code}, run says 3, {took:.1f} s, {job.steps()} steps in checkpoints", flush=True)
    return True


def export_of(job):
    done = subprocess.run(job.command, env=job.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=400)
    if done.returncode != 0:
        print(done.stderr, file=sys.stderr)
        sys.exit(1)
    return subprocess.run([job.program, "export", str(job.run), "--format", "json"], env=job.environment, check=True,
                          capture_output=True, timeout=60).stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", default="build/dev/tests/echo_provider")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("mpirun") is None:
        print("no mpirun")
        sys.exit(77)
    with tempfile.TemporaryDirectory(prefix="assay-stop-ranks-") as temporary:
        folder = Path(temporary)
        sweep = folder / "stopped.yaml"
        sweep.write_text(SWEEP.format(provider=Path(options.provider).resolve(), steps=20 + 60 * options.rounds))
        job = Job(options, folder / "disturbed", sweep)
        job.folder.mkdir()
        stops = 0
        for _ in range(options.rounds):
            for target in (0, 1, 2, "mpirun"):
                stops += stop_once(job, target)
        if stops < 4 * options.rounds:
            fail(job, f"only {stops} stops: the sweep is too short")
        disturbed = export_of(job)
        with sqlite3.connect(f"file:{job.run}/results.sqlite?mode=ro", uri=True) as database:
            outcomes = dict(database.execute("SELECT outcome, count(*) FROM attempt GROUP BY outcome"))
        calm = Job(options, folder / "calm", sweep)
        calm.folder.mkdir()
        if export_of(calm) != disturbed:
            fail(job, "the export differs from that of an undisturbed run")
        print(f"{stops} stops, attempts {outcomes}: equal exports")
        if set(outcomes) - {"done", "lost"}:
            fail(job, "stops count as failures")


if __name__ == "__main__":
    main()
