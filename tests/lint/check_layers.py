#!/usr/bin/env python3
"""Holds every #include against the layer table of docs/architecture.md.

A folder may include itself and the folders that the table grants it; a third-party header may appear only in the folder that
owns it. Prints each offence as file:line and exits 1 if there is one. `--self-test` proves that the check can fail.
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# What both programs are made of.
SHARED = ["harness/base", "harness/formats", "harness/contract"]
# folder -> folders that it may include besides itself (the transitive grants of the table, written out once).
CONTROL = {
    "harness/base": [],
    "harness/formats": ["harness/base"],
    "harness/contract": ["harness/base", "harness/formats"],
    "harness/spec": [*SHARED],
    "harness/plan": [*SHARED, "harness/spec"],
    "harness/record": [*SHARED, "harness/spec", "harness/plan"],
    "harness/schedule": [*SHARED, "harness/spec", "harness/plan", "harness/record"],
    "results/store": [*SHARED, "harness/spec", "harness/plan", "harness/record"],
    "results/board": [*SHARED, "harness/spec", "harness/plan", "results/store"],
    "harness/supervise": [*SHARED, "harness/spec", "harness/plan", "harness/record"],
    "cluster/slurm": [*SHARED, "harness/spec", "harness/plan", "harness/schedule", "harness/supervise"],
    "cluster/mpi": [*SHARED, "harness/spec", "harness/plan", "harness/schedule", "harness/supervise"],
    "harness/run": [*SHARED, "harness/spec", "harness/plan", "harness/record", "harness/schedule", "harness/supervise", "cluster/mpi",
                    "cluster/slurm"],
    "harness/app": [*SHARED, "harness/spec", "harness/plan", "harness/schedule", "results/store", "results/board",
                    "harness/supervise", "harness/run"],
}
TORCH = {
    "cluster/collective": [*SHARED],
    "datasets": [*SHARED],
    "harness/models": [*SHARED],
    "methods/quant": [*SHARED, "harness/models", "datasets", "cluster/collective"],
    "methods/optimise": [*SHARED],
    "methods/.": [*SHARED, "harness/models", "methods/quant"],
    "methods/*": [*SHARED, "harness/models", "datasets", "cluster/collective", "methods/optimise", "methods/quant", "methods/."],
    "harness/prepare": [*SHARED, "harness/models", "datasets"],
    "harness/evaluate": [*SHARED, "harness/models", "datasets", "cluster/collective"],
    "harness/exec": [*SHARED, "harness/models", "datasets", "cluster/collective", "methods/quant", "methods/.", "methods/*",
                     "harness/prepare", "harness/evaluate"],
}
# Pattern of a third-party header -> folders that own it.
OWNED = [
    (re.compile(r"yaml-cpp/"), ["harness/spec"]),
    (re.compile(r"SQLiteCpp/|sqlite3\.h"), ["results/store"]),
    (re.compile(r"xxhash\.h"), ["results/store"]),
    (re.compile(r"mpi\.h"), ["cluster/mpi"]),
    (re.compile(r"nccl\.h"), ["cluster/collective"]),
    (re.compile(r"CLI/"), ["harness/app"]),
    (re.compile(r"openssl/"), ["harness/base"]),
    (re.compile(r"(ATen|c10|torch)/"), list(TORCH)),
    (re.compile(r"pcre2|sentencepiece|jpeglib|png\.h|zlib\.h"), ["datasets"]),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path, known):
    """The table's folder that a repository path lies in, or None."""
    for folder in sorted((f for f in known if f[-1] not in "*."), key=len, reverse=True):
        if path.startswith(folder + "/"):
            return folder
    if not path.startswith("methods/"):
        return None
    return "methods/*" if path.count("/") > 1 else "methods/."


def offences(path, text):
    known = {**CONTROL, **TORCH}
    home = folder_of(path, known)
    if home is None:
        return [(0, "lies in no folder of the layer table")]
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quote, target = match.groups()
        for pattern, owners in OWNED:
            if pattern.match(target) and home not in owners:
                found.append((number, f"<{target}> belongs to {', '.join(owners)}"))
        if quote == '"' or target.split("/")[0] in ("harness", "methods", "datasets", "results", "cluster"):
            other = folder_of(target, known)
            if other is None:
                found.append((number, f'"{target}" is not a path from the repository root into a layer'))
            elif other != home and other not in known[home]:
                found.append((number, f"{home} may not include {other} ({target})"))
            elif home == other == "methods/*" and path.split("/")[1] != target.split("/")[1]:
                found.append((number, f"a method may not include another method ({target})"))
    return found


def self_test():
    assert offences("harness/spec/a.cpp", '#include "harness/plan/plan.h"'), "an upward include must be found"
    assert offences("harness/plan/a.cpp", "#include <yaml-cpp/yaml.h>"), "a foreign third-party header must be found"
    assert offences("harness/app/a.cpp", "#include <ATen/ATen.h>"), "LibTorch in control code must be found"
    assert offences("methods/gptq/a.cpp", '#include "methods/rtn/rtn.h"'), "a method inside a method must be found"
    assert not offences("methods/gptq/a.cpp", '#include "methods/quant/grid.h"\n#include <vector>')
    assert offences("methods/method.h", '#include "methods/rtn/rtn.h"'), "a method in what all share must be found"
    assert not offences("methods/gptq/a.cpp", '#include "methods/method.h"')
    assert not offences("harness/plan/a.cpp", '#include "harness/base/error.h"')


def main():
    self_test()
    if "--self-test" in sys.argv:
        return 0
    count = 0
    files = [f for top in ("harness", "methods", "datasets", "results", "cluster") for f in sorted((ROOT / top).rglob("*"))
             if f.suffix in (".h", ".cpp", ".cu")]
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        for line, problem in offences(path, file.read_text(encoding="utf-8")):
            print(f"{path}:{line}: {problem}")
            count += 1
    print(f"{len(files)} files, {count} offences against the layer table")
    return 1 if count or not files else 0


if __name__ == "__main__":
    sys.exit(main())
