#!/usr/bin/env python3
"""Compile seconds by folder, from Ninja's log of a build without ccache.

  compile.py                        builds this tree anew in a temporary folder and prints its seconds
  compile.py --log build/release    prints those of a build that is there
  compile.py --against ../old       builds another tree as well, and prints the ratio
"""
import argparse
import collections
import os
import re
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def cold_build(tree, folder):
    """Builds a tree with everything in it; ccache, if there is one, does nothing."""
    env = {**os.environ, "CCACHE_DISABLE": "1"}
    for command in (["cmake", "--preset", "release", "-B", str(folder)], ["cmake", "--build", str(folder)]):
        subprocess.run(command, cwd=tree, env=env, check=True, stdout=subprocess.DEVNULL)


def seconds_by_folder(folder):
    """{'harness/plan': 41.2, ...}: wall seconds of compilations, summed."""
    last = {}
    for line in (folder / ".ninja_log").read_text().splitlines():
        fields = line.split("\t")
        # The log also names outputs of earlier configurations.
        if len(fields) == 5 and re.search(r"\.(o|gch)$", fields[3]) and (folder / fields[3]).exists():
            last[fields[3]] = (int(fields[1]) - int(fields[0])) / 1000
    total = collections.Counter()
    for output, seconds in last.items():
        total[output.split("/CMakeFiles/")[0] if "/CMakeFiles/" in output else "(precompiled headers)"] += seconds
    return total


def print_table(ours, theirs):
    for name in sorted(ours, key=lambda each: -ours[each]):
        other = f"{theirs[name]:10.1f}" if theirs else ""
        print(f"{ours[name]:10.1f}{other}  {name}")
    for title, chosen in (("product", lambda name: not name.startswith("tests")), ("tests", lambda name: name.startswith("tests")), ("all", lambda name: True)):
        here = sum(seconds for name, seconds in ours.items() if chosen(name))
        there = sum(seconds for name, seconds in theirs.items() if chosen(name))
        print(f"{title}: {here:.0f} s" + (f" against {there:.0f} s = {here / there:.2f}" if there else ""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", help=argparse.SUPPRESS)  # as the other benchmarks take it
    parser.add_argument("--log", type=Path, help="a build folder that is there, instead of a new one")
    parser.add_argument("--against", type=Path, help="another tree (or with --log another build folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folders = []
        for number, tree in enumerate([given.log or ROOT] + ([given.against] if given.against else [])):
            folder = tree if given.log else Path(scratch) / str(number)
            if not given.log:
                cold_build(tree, folder)
            folders.append(seconds_by_folder(folder))
    print_table(folders[0], folders[1] if len(folders) > 1 else {})


if __name__ == "__main__":
    main()
