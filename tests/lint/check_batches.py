#!/usr/bin/env python3
"""Sources that are compiled in one batch share their anonymous namespaces: a helper of one file may be overloaded by another's without a word,
and another function is called. So no two files of a batch may define functions of one name in them.

    tests/lint/check_batches.py --build build/release
"""
import argparse
import re
import sys
from pathlib import Path

INCLUDED = re.compile(r'^#include "(.+)"$', re.MULTILINE)
# A definition or declaration begins at the left margin; what a function calls does not.
FUNCTION = re.compile(r"^(?!using|typedef|return|namespace|struct|class|enum|union|constexpr [^()]*=|const [^()]*=)[A-Za-z_][\w:<>,&*\s]*[\s&*](\w+)\(")


def helpers(path):
    """{name: line} of the functions in the file's anonymous namespaces."""
    found, anonymous = {}, False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("namespace {"):
            anonymous = True
        elif line.startswith("}  // namespace"):
            anonymous = False
        elif anonymous and (match := FUNCTION.match(line)) and match.group(1) not in ("__attribute__", "TEST", "TEST_F", "TEST_P"):
            found.setdefault(match.group(1), number)
    return found


def problems(batch):
    first = {}
    for path in map(Path, INCLUDED.findall(batch.read_text())):
        for name, line in helpers(path).items():
            if name in first:
                yield f"{path}:{line}: '{name}' is a helper of {first[name]} too, which is compiled in one batch with this file: rename one"
            first.setdefault(name, f"{path}:{line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    batches = sorted(parser.parse_args().build.glob("**/Unity/unity_*.cxx"))
    found = [problem for batch in batches for problem in problems(batch)]
    print(*found, sep="\n")
    print(f"{len(batches)} batches, {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
