"""What the end-to-end tests over the echo provider share: a folder with a store of its own, and the programs under test."""
import argparse
import os
import sys
import tempfile
import unittest
from pathlib import Path

options = argparse.Namespace()  # of the command line: assay, provider


class EchoTest(unittest.TestCase):
    def setUp(self):
        # The supervisor's watchdog may still be removing files.
        self.temporary = tempfile.TemporaryDirectory(prefix=f"assay-{type(self).__name__}-", ignore_cleanup_errors=True)
        self.addCleanup(self.temporary.cleanup)  # after what tests add: first in, last out
        self.folder = Path(self.temporary.name)
        self.run_folder = self.folder / "run"
        self.store = self.folder / "store"
        self.environment = {**os.environ, "ASSAY_STORE": str(self.store), "XDG_CACHE_HOME": str(self.folder / "cache")}


def main():
    """Runs the tests of the script that calls it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", default="build/dev/tests/echo_provider")
    _, rest = parser.parse_known_args(namespace=options)
    unittest.main(argv=[sys.argv[0], *rest])
