#!/usr/bin/env python3
"""One sweep over 1, 2 and 4 MPI ranks and over 1 and 2 local slots: the same export, byte for byte; idle ranks cost nothing.

    tests/e2e/ranks_test.py --assay build/dev/bin/assay --provider build/dev/tests/echo_provider
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

options = None
SWEEP = """assay: 1
name: ranks
providers:
  - {{command: ["{provider}"]}}
models:
  nothing: {{family: echo, config: {{}}}}
trials:
  - {{model: nothing, method: {methods}, seed: [0, 1]}}
evaluate:
  - {{metric: echo_value}}
"""


def cpu_s(pid):
    fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class RanksTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="assay-ranks-")
        self.addCleanup(self.temporary.cleanup)  # after what tests add: first in, last out
        self.folder = Path(self.temporary.name)

    def environment(self, name, **more):
        return {**os.environ, "ASSAY_STORE": str(self.folder / f"store-{name}"), "XDG_CACHE_HOME": str(self.folder / "cache"),
                "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **more}

    def command(self, name, methods, ranks=0, jobs=1):
        sweep = self.folder / "ranks.yaml"
        sweep.write_text(SWEEP.format(provider=Path(options.provider).resolve(), methods=methods))
        launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks else []
        return [*launcher, str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(self.folder / name), "--jobs",
                str(jobs), "--quiet"]

    def export_of(self, name, methods, **how):
        done = subprocess.run(self.command(name, methods, **how), env=self.environment(name), capture_output=True, text=True,
                              timeout=120, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        return subprocess.run([str(Path(options.assay).resolve()), "export", str(self.folder / name), "--format", "json"],
                              env=self.environment(name), check=True, capture_output=True).stdout

    def test_ranks_and_slots_do_not_change_a_byte(self):
        methods = "{echo: {value: [1, 2, 3, 4, 5, 6]}, echo_file: {value: [1, 2]}, echo_long: {steps: [5], step_s: [0.02]}}"
        exports = {"jobs 1": self.export_of("jobs1", methods, jobs=1), "jobs 2": self.export_of("jobs2", methods, jobs=2)}
        for ranks in (1, 2, 4):
            exports[f"ranks {ranks}"] = self.export_of(f"ranks{ranks}", methods, ranks=ranks)
        self.assertIn(b"echo_value", exports["jobs 1"])
        self.assertEqual({name for name, text in exports.items() if text != exports["jobs 1"]}, set())

    def test_idle_ranks_cost_next_to_nothing(self):
        process = subprocess.Popen(self.command("idle", "{echo_sleep: {seconds: [8]}}", ranks=4), env=self.environment("idle"),
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        limit = time.monotonic() + 30
        while time.monotonic() < limit and not list(self.folder.glob("idle/status.json")):
            time.sleep(0.05)
        time.sleep(1.5)
        ranks = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and self.is_rank(p)]
        self.assertEqual(len(ranks), 4)
        before = {pid: cpu_s(pid) for pid in ranks}
        time.sleep(4)
        used = sorted((cpu_s(pid) - before[pid]) / 4 for pid in ranks)
        process.wait(timeout=60)
        self.assertEqual(process.returncode, 0)
        print("share of a core per rank:", used, file=sys.stderr)
        self.assertLess(used[1], 0.02)  # two of the four ranks have no stage

    def is_rank(self, process):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            watches = (process / "comm").read_text().startswith("assay-watch")  # executors, until the rank is gone
            return not watches and words[0].endswith(b"/assay") and str(self.folder).encode() in b" ".join(words)
        except OSError:
            return False

    def test_a_refused_sweep_ends_every_rank_with_2(self):
        done = subprocess.run(self.command("bad", "{ecko: {}}", ranks=2), env=self.environment("bad"), capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("ecko", done.stderr)

    def test_a_launcher_that_mpi_does_not_know_is_4(self):
        done = subprocess.run(self.command("alone", "{echo: {}}"), capture_output=True, text=True, timeout=60,
                              env=self.environment("alone", OMPI_COMM_WORLD_SIZE="2"), stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("2 tasks", done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", default="build/dev/tests/echo_provider")
    options, rest = parser.parse_known_args()
    if shutil.which("mpirun") is None:
        print("no mpirun")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest])
