#!/usr/bin/env python3
"""GPTQ, BoA and aespa of a random OPT (4 blocks, 256 wide, 3 bits, 32 windows of 256 tokens), against the code of their releases.

Ours is the whole stage as a run does it, theirs the quantization alone, on the same LibTorch, on 1 and on 2 threads; interleaved, medians.
The releases are not part of Assay: give checkouts of IST-DASLab/gptq, of BoA and of SamsungLabs/aespa. The first call installs
transformers 4.43.2, which they ask for, and PyTorch into .deps/releases (5 GB).

    tests/bench/releases.py --gptq DIR --boa DIR --aespa DIR [--repeat 3]
"""
import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import bench
import random_opt

WIDTH, MLP, BLOCKS, HEADS = 256, 1024, 4, 4
BITS, SAMPLES, CONTEXT = 3, 32, 256
METHODS = ("gptq", "boa", "aespa")


def sweep(folder):
    text = folder / "text.txt"
    text.write_text("It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife.\n" * 200)
    path = folder / "quantizers.yaml"
    path.write_text(f"""assay: 1
name: quantizers
models: {{m: {{family: opt, weights: {folder}/checkpoint, data: d}}}}
data: {{d: {{reader: text, train: {text}, test: {text}}}}}
trials:
  - {{model: m, method: [{", ".join(METHODS)}], bits: W{BITS}A16, samples: {SAMPLES}, context: {CONTEXT}}}
evaluate: [{{metric: perplexity, split: test, context: {CONTEXT}, limit: 1, shards: 1}}]
""")
    return path


def ours(options, folder, env, threads, number):
    """{method: seconds of its stage}."""
    run, store = folder / f"run-{threads}-{number}", folder / f"store-{threads}-{number}"
    bench.seconds(["taskset", "-c", cores(threads), options.assay, "run", sweep(folder), "--jobs", 1, "--set", f"run.threads={threads}",
                   "--out", run, "--quiet"], env={**env, "ASSAY_STORE": str(store)})
    with sqlite3.connect(f"file:{run}/results.sqlite?mode=ro", uri=True) as database:
        rows = database.execute("SELECT name, ended_unix_s - started_unix_s FROM attempt JOIN stage ON stage.key = attempt.stage").fetchall()
    return {method: sum(seconds for name, seconds in rows if name == f"{method}.quantize") for method in METHODS}


def cores(threads):
    return ",".join(map(str, sorted(os.sched_getaffinity(0))[:threads]))


def theirs(python, release, method, folder, threads):
    done = subprocess.run(["taskset", "-c", cores(threads), python, Path(__file__).parent / "peer_release.py", method, release,
                           folder / "checkpoint", str(BITS), str(SAMPLES), str(CONTEXT), str(threads)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    if done.returncode != 0:
        raise SystemExit(f"{method} of {release} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["seconds"]


def environment_of_releases():
    """A Python with the LibTorch that Assay is built with."""
    folder = bench.ROOT / ".deps" / "releases"
    python = folder / "bin" / "python"
    if not (folder / "stamp").exists():
        shutil.rmtree(folder, ignore_errors=True)
        bench.seconds(["python3", "-m", "venv", folder])
        bench.seconds([folder / "bin" / "pip", "install", "-q", "--disable-pip-version-check", "--no-compile", "torch==2.15.*",
                       "transformers==4.43.2", "numpy<2"])
        (folder / "stamp").touch()
    return python


def main():
    parser = bench.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    for method in METHODS:
        parser.add_argument(f"--{method}", metavar="DIR", help=f"checkout of the release of {method}")
    options = bench.parsed(parser)
    python = environment_of_releases()
    with bench.scratch() as (folder, env):
        random_opt.write_checkpoint(folder / "checkpoint", WIDTH, MLP, BLOCKS, HEADS, CONTEXT)
        for threads in (1, 2):
            own, peer = {method: [] for method in METHODS}, {method: [] for method in METHODS}
            for number in range(options.repeat):
                for method, seconds in ours(options, folder, env, threads, number).items():
                    own[method].append(seconds)
                for method in METHODS:
                    if release := getattr(options, method):
                        peer[method].append(theirs(python, release, method, folder, threads))
            for method in METHODS:
                line = f"{method}, {threads} thread{'s' if threads > 1 else ''}: ours {bench.median(own[method]):.2f} s"
                if peer[method]:
                    release_s = bench.median(peer[method])
                    line += f", release {release_s:.2f} s: {release_s / bench.median(own[method]):.1f} times as fast"
                print(line, flush=True)


if __name__ == "__main__":
    main()
