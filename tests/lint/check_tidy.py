#!/usr/bin/env python3
"""Runs clang-tidy with .clang-tidy over sources that changed.

By default those that the last commit and the working tree changed, at most --most of them; files may be named instead. Exits 1 if
there is a finding, 77 (skipped) where clang-tidy, git or the earlier commit is missing.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77
# GCC's precompiled headers, and what clang does not know.
DROPPED = re.compile(r"\s-include \S+cmake_pch\.hxx|\s-fpch-preprocess|\s-Winvalid-pch|\s-fno-openmp\S*")


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def changed(base):
    shown = subprocess.run(["git", "diff", "--name-only", "--diff-filter=d", base, "--", "*.cpp"], cwd=ROOT, capture_output=True, text=True)
    if shown.returncode != 0:
        skip(f"git cannot compare with {base}: {shown.stderr.strip()}")
    return shown.stdout.split()


def sources_of(file):
    """The sources that a file compiles: those of a batch (ASSAY_UNITY) are included in it, any other file is its own."""
    if Path(file).parent.name != "Unity":
        return [file]
    return re.findall(r'^#include "(.+)"$', Path(file).read_text(), re.MULTILINE)


def commands(build):
    """Compile commands by path below the project, as clang takes them."""
    found = {}
    for each in json.loads((build / "compile_commands.json").read_text()):
        command = DROPPED.sub("", each["command"])
        for source in sources_of(each["file"]):
            found[os.path.relpath(source, ROOT)] = {**each, "file": source, "command": command.replace(each["file"], source)}
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", help="sources below the project")
    parser.add_argument("--build", type=Path, default=ROOT / "build/release", help="build folder with compile_commands.json")
    parser.add_argument("--base", default="HEAD~1", help="commit that changes are counted from")
    parser.add_argument("--most", type=int, default=24, help="sources looked at, the first in alphabetical order (0: all)")
    options = parser.parse_args()
    tidy = shutil.which("clang-tidy")
    if tidy is None:
        skip("clang-tidy is not installed")
    known = commands(options.build)
    wanted = [os.path.relpath(f, ROOT) if os.path.isabs(f) else f for f in options.files] or changed(options.base)
    sources = [f for f in wanted if f in known]
    if options.most and not options.files:
        sources = sources[:options.most]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "compile_commands.json").write_text(json.dumps([known[f] for f in sources]))

        def check(source):
            return subprocess.run([tidy, "-p", folder, "--quiet", source], cwd=ROOT, capture_output=True, text=True)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            runs = list(zip(sources, pool.map(check, sources)))
    bad = [(source, run) for source, run in runs if run.returncode != 0]
    for source, run in bad:
        print(run.stdout.strip() or f"{source}: {run.stderr.strip()}")
    print(f"{len(sources)} of {len(wanted)} changed sources, {len(bad)} with findings")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
