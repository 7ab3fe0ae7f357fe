"""What the benchmarks share: timing a command, medians, folders that go away at the end."""
import argparse
import atexit
import contextlib
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def parser(description):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--build", default="build/release", help="build folder with bin/assay")
    return made


def arguments(description):
    with_repeat = parser(description)
    with_repeat.add_argument("--repeat", type=int, default=0, help="repetitions (0: the benchmark's own)")
    return parsed(with_repeat)


def parsed(arguments_of):
    given = arguments_of.parse_args()
    given.build = (ROOT / given.build).resolve()
    given.assay = given.build / "bin" / "assay"
    given.echo = given.build / "tests" / "echo_provider"
    return given


def seconds(command, **options):
    """Wall seconds of one command; its output is kept from the terminal unless it fails."""
    start = time.perf_counter()
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    elapsed = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout.decode(errors='replace')[-2000:]}")
    return elapsed


def median(values):
    return statistics.median(values)


@contextlib.contextmanager
def scratch():
    """A folder with an empty store in it, on the disk of the build (a memory file system would flatter)."""
    (ROOT / "build").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "build"))
    try:
        yield folder, {**os.environ, "ASSAY_STORE": str(folder / "store"), "XDG_CACHE_HOME": str(folder / "cache"),
                       "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    finally:  # at the end: for minutes after many files were deleted, ext4 is slow to find free inodes
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
