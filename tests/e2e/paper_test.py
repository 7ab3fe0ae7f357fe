#!/usr/bin/env python3
"""The sweeps of the papers' tables plan: checked with small networks in the places of the large ones.

    tests/e2e/paper_test.py --assay build/dev/bin/assay
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "bench"))
import random_llama  # noqa: E402
import random_opt  # noqa: E402

options = None
CONTEXT = 2048


class Paper(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="assay-paper-", ignore_cleanup_errors=True)
        cls.folder = Path(cls.scratch.name)
        random_opt.write_checkpoint(cls.folder / "opt", 64, 128, 1, 4, CONTEXT)
        random_llama.write_checkpoint(cls.folder / "llama", 128, 256, 1, head=32, context=CONTEXT, vocabulary=512)
        (cls.folder / "text.txt").write_text("All happy families are alike; every unhappy family is unhappy in its own way.\n" * 100)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def settings(self, sweep):
        """--set of every model's weights and every text of a sweep."""
        text = sweep.read_text()
        for name, family in re.findall(r"^  (\w+): {family: (\w+), weights: ", text, re.MULTILINE):
            yield f"models.{name}.weights={self.folder / family}"
        for name, rest in re.findall(r"^  (\w+): {reader: text, (.+)}$", text, re.MULTILINE):
            yield from (f"data.{name}.{split}={self.folder / 'text.txt'}" for split in ("train", "test") if f"{split}: " in rest)

    def test_every_sweep_plans(self):
        sweeps = sorted((ROOT / "sweeps" / "paper").glob("*.yaml"))
        self.assertGreaterEqual(len(sweeps), 3)
        for sweep in sweeps:
            with self.subTest(sweep=sweep.name):
                settings = [word for setting in self.settings(sweep) for word in ("--set", setting)]
                environment = {**os.environ, "ASSAY_STORE": str(self.folder / "store"), "XDG_CACHE_HOME": str(self.folder / "cache")}
                done = subprocess.run([options.assay, "plan", sweep, "--format", "json", *settings], capture_output=True, text=True, env=environment)
                self.assertEqual(done.returncode, 0, done.stderr)
                titles = [table["title"] for table in json.loads(done.stdout)]
                self.assertNotIn("Trials left out", titles)

    def test_without_the_checkpoints_a_plan_says_what_is_missing(self):
        done = subprocess.run([options.assay, "plan", ROOT / "sweeps" / "paper" / "boa.yaml"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("models/opt-125m", done.stderr)


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", help="not used here")
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
