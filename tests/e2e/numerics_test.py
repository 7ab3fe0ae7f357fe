#!/usr/bin/env python3
"""The numerics class as a user meets it: levels of instructions and precisions decide keys and bits, and nothing else does.

    tests/e2e/numerics_test.py --assay build/release/bin/assay --exec build/release/bin/assay-exec
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
options = None
SWEEP = """assay: 1
name: numerics
data: {{text: {{reader: text, train: text.txt, test: text.txt}}}}
models: {{llama: {{family: llama, weights: "{zoo}/llama_austen", data: text}}}}
trials:
  - {{model: llama, method: [{methods}], bits: W8A8, context: 64, samples: 4, act: tensor_static}}
evaluate: [{{metric: perplexity, context: 64, limit: 8, shards: 2}}]
run: {{{run}}}
"""


class NumericsTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="assay-numerics-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        words = (ROOT / "README.md").read_bytes()[:6000].decode("utf-8", "ignore").encode("ascii", "ignore")
        (self.folder / "text.txt").write_bytes(words * 3)
        self.level = self.own_level()

    def environment(self, name="", **more):
        dropped = {"ATEN_CPU_CAPABILITY", "ASSAY_MKL_OVERRIDE"}
        return {**{k: v for k, v in os.environ.items() if k not in dropped}, "ASSAY_STORE": str(self.folder / f"store-{name}"),
                "ASSAY_EXEC": str(Path(options.exec).resolve()), "XDG_CACHE_HOME": str(self.folder / "cache"),
                "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", **more}

    def command(self, *words, name="", **more):
        return subprocess.run([str(Path(options.assay).resolve()), *words], env=self.environment(name, **more), timeout=300,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)

    def own_level(self):
        self.sweep("plain")
        planned = self.command("plan", str(self.folder / "plain.yaml"))
        self.assertEqual(planned.returncode, 0, planned.stderr)
        return planned.stdout.split("cpu_level ")[1].split()[0]

    def sweep(self, name, run="", methods="float"):
        path = self.folder / f"{name}.yaml"
        text = SWEEP.format(zoo=ROOT / "zoo", run=run, methods=methods)
        if methods == "float":
            text = text.replace(", bits: W8A8, context: 64, samples: 4, act: tensor_static", "")
        path.write_text(text)
        return str(path)

    def export_of(self, name, run="", methods="float", **more):
        done = self.command("run", self.sweep(name, run, methods), "--out", str(self.folder / name), "--quiet", name=name, **more)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.command("export", str(self.folder / name), "--format", "json", name=name).stdout

    def keys(self, name):
        return {p.name.split(".")[0] for p in (self.folder / f"store-{name}" / "objects").glob("*/*")}

    def test_equal_levels_give_equal_bytes_and_other_levels_other_keys_and_bits(self):
        if self.level == "default":
            self.skipTest("this processor has one level")
        own = self.export_of("own", f"cpu_level: {self.level}")
        auto = self.export_of("auto", "", MKL_CBWR="COMPATIBLE", ONEDNN_MAX_CPU_ISA="SSE41")
        self.assertEqual(own, auto, "variables of the user's environment move nothing")
        self.assertEqual(self.keys("own"), self.keys("auto"))
        low = self.export_of("low", "cpu_level: default")
        self.assertNotEqual(own, low)
        lowered = self.export_of("lowered", "", ATEN_CPU_CAPABILITY="default")
        self.assertEqual(low, lowered)
        shared = self.keys("own") & self.keys("low")
        self.assertEqual(len(shared), 1, "the tokens alone are the same work")
        other = self.export_of("other", "", ASSAY_MKL_OVERRIDE="0")
        intel = self.export_of("intel", "", ASSAY_MKL_OVERRIDE="1")
        self.assertNotEqual(other, intel)
        self.assertEqual(len(self.keys("other") & self.keys("intel")), 1)

    def test_a_level_that_the_host_lacks_is_refused_before_anything_runs(self):
        done = self.command("run", self.sweep("high", "cpu_level: avx2"), "--out", str(self.folder / "high"), name="high",
                            ATEN_CPU_CAPABILITY="default")
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn("run.cpu_level is avx2, which these hosts cannot do", done.stderr)
        self.assertIn("--set run.cpu_level=default", done.stderr)
        self.assertEqual(self.keys("high"), set())

    def test_ranks_agree_on_the_lowest_level(self):
        if shutil.which("mpirun") is None or self.level == "default":
            self.skipTest("no mpirun, or one level")
        assay = [str(Path(options.assay).resolve()), "run", self.sweep("ranks"), "--out", str(self.folder / "ranks"), "--quiet", "--jobs", "1"]
        done = subprocess.run(["mpirun", "--oversubscribe", "-n", "1", *assay, ":", "-n", "1", "-x", "ATEN_CPU_CAPABILITY=default", *assay],
                              env=self.environment("ranks"), timeout=300, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual(done.returncode, 0, done.stderr)
        exported = self.command("export", str(self.folder / "ranks"), "--format", "json", name="ranks").stdout
        low = self.export_of("low", "cpu_level: default")
        self.assertEqual(self.keys("ranks"), self.keys("low"))
        self.assertEqual(exported, low)

    def test_precisions_agree_but_for_rounding(self):
        figures = {}
        for precision in ("float64", "float32", "bfloat16", "float16"):
            self.export_of(precision, f"precision: {precision}", "float, rtn")
            rows = self.command("query", str(self.folder / precision), "--format", "json",
                                "SELECT method, value FROM leaderboard WHERE name = 'perplexity' ORDER BY method",
                                name=precision)
            self.assertEqual(rows.returncode, 0, rows.stderr)
            figures[precision] = [row["value"] for row in json.loads(rows.stdout)[0]["rows"]]
        for precision, tolerance in (("float32", 1e-5), ("float16", 0.01), ("bfloat16", 0.05)):
            got, exact = figures[precision][0], figures["float64"][0]
            self.assertNotEqual(got, exact)
            self.assertLess(abs(got / exact - 1), tolerance, precision)
            self.assertLess(abs(figures[precision][1] / figures["float64"][1] - 1), 0.05, precision)

    def test_training_in_half_precision_is_refused_by_name(self):
        path = self.folder / "train.yaml"
        path.write_text(SWEEP.format(zoo=ROOT / "zoo", run="precision: float16", methods="train").replace(
            ", bits: W8A8, context: 64, samples: 4, act: tensor_static", ""))
        done = self.command("plan", str(path))
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("method 'train': run.precision float16", done.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/release/bin/assay")
    parser.add_argument("--provider")
    parser.add_argument("--exec", default="build/release/bin/assay-exec")
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])
