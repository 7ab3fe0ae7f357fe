"""Runs a test in a Python that has the package it compares with: of $ASSAY_PEER_PYTHON, .deps/peers and this one the first."""
import os
import shutil
import subprocess
import sys
from pathlib import Path

SKIPPED = 77
PEERS = Path(__file__).resolve().parents[2] / ".deps/peers/bin/python"


def main(package, check):
    """The exit status of check() where `package` can be imported; 77, aloud, where no Python has it."""
    if os.environ.get("ASSAY_PEER_CHILD"):
        return check()
    for python in (os.environ.get("ASSAY_PEER_PYTHON"), str(PEERS), sys.executable):
        if python and shutil.which(python) and subprocess.run([python, "-c", f"import {package}"], capture_output=True).returncode == 0:
            return subprocess.run([python, *sys.argv], env={**os.environ, "ASSAY_PEER_CHILD": "1"}).returncode
    print(f"SKIPPED: no Python has the package {package} (ASSAY_PEER_PYTHON, .deps/peers, this one); ./bootstrap test installs it")
    return SKIPPED
