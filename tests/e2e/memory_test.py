#!/usr/bin/env python3
"""What quantizing and evaluating a language model takes does not grow with the number of its blocks: random LLaMAs of 2 and 16 blocks.

    tests/e2e/memory_test.py --assay build/dev/bin/assay
"""
import argparse
import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "bench"))
import memory_use  # noqa: E402
import random_llama  # noqa: E402

options = None
WIDTH, INTERMEDIATE, FEW, MANY = 512, 1536, 2, 18
ADDED = 4 * (MANY - FEW) * random_llama.block_parameters(WIDTH, INTERMEDIATE)  # bytes of the other blocks' weights in float32
STAGES = [("rtn.quantize", "rtn"), ("gptq.quantize", "gptq"), *(("evaluate.language", method) for method in ("float", "rtn", "gptq"))]


class Memory(unittest.TestCase):
    def test_weights_of_one_block_are_in_memory(self):
        few, many = self.use(FEW), self.use(MANY)
        for stage in STAGES:
            for kind in ("anonymous", "resident"):
                with self.subTest(stage=stage, kind=kind):
                    growth = many[stage][kind] - few[stage][kind]
                    self.assertLess(growth, ADDED / 3, f"{stage}: {few[stage]} with {FEW} blocks, {many[stage]} with {MANY}")

    def use(self, blocks):
        with tempfile.TemporaryDirectory(prefix="assay-memory-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            random_llama.write_checkpoint(folder / "checkpoint", WIDTH, INTERMEDIATE, blocks, vocabulary=256)
            text = folder / "text.txt"
            text.write_text("All happy families are alike; every unhappy family is unhappy in its own way.\n" * 20)
            sweep = folder / "memory.yaml"
            sweep.write_text(f"""assay: 1
name: memory
models: {{m: {{family: llama, weights: {folder}/checkpoint, data: d}}}}
data: {{d: {{reader: text, train: {text}, test: {text}}}}}
trials:
  - {{model: m, method: float}}
  - {{model: m, method: [rtn, gptq], bits: W4A16, group: 128, rtn: {{granularity: group}}, gptq: {{samples: 4, context: 32}}}}
evaluate: [{{metric: perplexity, split: test, context: 32, limit: 4, chunk: 4, shards: 1}}]
""")
            # By default small networks like these stay in memory.
            environment = {**os.environ, "ASSAY_STORE": str(folder / "store"), "XDG_CACHE_HOME": str(folder / "cache"), "ASSAY_KEPT_WEIGHTS_MB": "0"}
            return memory_use.of_stages([options.assay, "run", sweep, "--jobs", 1, "--out", folder / "run", "--quiet"], folder / "run", environment)


def main():
    global options
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", help="not used here")
    options, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
