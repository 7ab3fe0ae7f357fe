#!/usr/bin/env python3
"""One key, one content: no file is opened that a recipe does not name, and no figure is ever that of other bytes than its key's.

    tests/e2e/content_test.py --assay build/dev/bin/assay
"""
import argparse
import hashlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import content_forms as forms
import malformed_files as made
from opened_files import OpenedFiles

options = None
TEXT = ("the quick brown fox jumps over the lazy dog, and the dog sleeps on. " * 30).encode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class ContentTest(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="assay-content-")
        self.addCleanup(self.temporary.cleanup)
        self.folder = Path(self.temporary.name)
        self.random = random.Random(int(os.environ.get("CONTENT_SEED", "7")))

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def environment(self, store="store", **more):
        return {**os.environ, "ASSAY_STORE": str(self.folder / store), "XDG_CACHE_HOME": str(self.folder / "cache"), **more}

    def begin(self, sweep, out, store="store", **more):
        process = subprocess.Popen([str(Path(options.assay).resolve()), "run", str(sweep), "--out", str(self.folder / out), "--jobs", "2"],
                                   env=self.environment(store, **more), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL)
        self.addCleanup(process.kill)
        return process

    def ended(self, process):
        out, err = process.communicate(timeout=300)
        return process.returncode, out + err

    def rows(self, out, query):
        with sqlite3.connect(f"file:{self.folder}/{out}/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query).fetchall()


class FormsTest(ContentTest):
    """A sweep over every form of checkpoint and data set."""

    def sweep(self, language_trials, vision_trials, metrics):
        models, data, language, vision = [], [f"text: {{reader: text, train: [{self.write('data/text/a.txt', TEXT)}], "
                                              f"test: [{self.write('data/text/b.txt', TEXT[40:])}]}}"], [], []
        self.write("data/text/c.txt", "stray text")
        for name, (files, weights) in forms.language_models().items():
            for file, content in {**forms.STRAY, **files}.items():
                self.write(f"models/{name}/{file}", content)
            models.append(f"{name}: {{family: opt, weights: {self.folder / 'models' / name / weights}, data: text}}")
            language.append(name)
        for name, (files, content, entry) in forms.images().items():
            for file, text in {**forms.STRAY, **files}.items():
                self.write(f"models/vit_{name}/{file}", text)
            for file, text in content.items():
                self.write(f"data/{name}/{file}", text)
            (self.folder / "data" / name).mkdir(exist_ok=True)
            data.append(f"{name}: {{{entry.replace('%s', str(self.folder / 'data' / name))}}}")
            models.append(f"vit_{name}: {{family: vit, weights: {self.folder / 'models' / ('vit_' + name)}, data: {name}}}")
            vision.append("vit_" + name)

        def lines(items):
            return "".join(f"  {item}\n" for item in items)

        trials = [f"- {{model: [{', '.join(names)}], {trial}}}"
                  for names, several in ((language, language_trials), (vision, vision_trials)) for trial in several]
        return self.write("sweep.yaml", f"assay: 1\nname: forms\nmodels:\n{lines(models)}data:\n{lines(data)}trials:\n{lines(trials)}"
                                        f"evaluate:\n{lines('- ' + metric for metric in metrics)}run: {{slots: 2}}\n")


class OpenedTest(FormsTest):
    """Every built-in stage over every form of checkpoint and data set, while the kernel tells what is opened."""

    LANGUAGE = ["method: float", "method: rtn, bits: W4A8, calibration_seed: 0, rtn: {act: tensor_static, samples: 4, context: 16}",
                "method: nf4, bits: W4A16",
                "method: [gptq, boa, turboboa, aespa, awq, zfold], bits: W4A16, calibration_seed: 0, samples: 4, context: 16, aespa: {iterations: 20}",
                "method: smoothquant, bits: W4A8, calibration_seed: 0, samples: 4, context: 16",
                "method: omniquant, bits: W4A8, calibration_seed: 0, samples: 4, context: 16, omniquant: {epochs: 1}",
                "method: quarot, bits: W4A4KV4, seed: 0",
                "method: [cushioncache + rtn, prefixquant + rtn], bits: W16A8KV8, calibration_seed: 0, samples: 4, context: 16, "
                "cushioncache: {start: [1], candidates: 2, max_prefix: 2, epochs: 1}, prefixquant: {bos: 1}",
                "method: train, seed: 0, train: {steps: 2, batch: 2, window: 16}"]
    VISION = ["method: float", "method: rtn, bits: W4A8, rtn: {samples: 4}",
              "method: psaq_vit, bits: W4A8, seed: 0, psaq_vit: {images: 2, rounds: 1, steps: 5}",
              "method: train, seed: 0, train: {steps: 2, batch: 2}"]
    METRICS = ["{metric: perplexity, context: 16, shards: 2}", "{metric: activations, context: 16, shards: 2}", "{metric: kl_divergence, context: 16, shards: 2}", "{metric: top1, shards: 2}",
               "{metric: latency, batch: [1], tokens: 16, repetitions: 5, warmup_s: 0.01, max_s: 0.05}"]

    def named_in_recipes(self, out):
        """Digests of all files that a recipe names: for a folder, those of its manifest instead of the manifest's own."""
        digests = set()
        for (recipe,) in self.rows(out, "SELECT recipe FROM stage"):
            recipe = json.loads(recipe)
            for member in ("model", "data"):
                digests |= {file["digest"] for file in recipe.get(member, {}).get("files", [])}
        for manifest in (self.folder / "store" / "manifests").iterdir():
            entries = [json.loads(line) for line in manifest.read_text().splitlines()]
            digests |= {entry[1] for entry in entries if len(entry) > 1}
            digests.discard(manifest.name.partition(".")[0])
        return digests

    def test_no_file_is_opened_that_the_recipe_does_not_name(self):
        sweep = self.sweep(self.LANGUAGE, self.VISION, self.METRICS)
        try:
            opened = OpenedFiles(self.folder / "models"), OpenedFiles(self.folder / "data")
        except OSError as error:
            self.skipTest(f"the kernel does not tell which files are opened: {error}")
        code, output = self.ended(self.begin(sweep, "run"))
        self.assertEqual(code, 0, output)
        seen = set().union(*(watch.take() for watch in opened))
        named = self.named_in_recipes("run")
        strangers = sorted(str(Path(path).relative_to(self.folder)) for path in seen if sha256(Path(path).read_bytes()) not in named)
        self.assertEqual(strangers, [])
        read = {sha256(Path(path).read_bytes()) for path in seen}
        self.assertEqual(named - read, set(), "a recipe names files that nothing reads")
        ran = {name for (name,) in self.rows("run", "SELECT DISTINCT name FROM stage")}
        offered = set()
        for catalogue in (self.folder / "cache").rglob("*.json"):
            text = json.loads(catalogue.read_text())
            offered |= {stage["name"] for stage in (text.get("catalogue", text).get("stages", []) if isinstance(text, dict) else [])}
        self.assertTrue(offered)
        self.assertEqual(offered - ran, set(), "stages that this test does not run")


class MovedKeyTest(FormsTest):
    """A changed byte, name or order of anything that is read makes another key; files that lie beside do not."""

    def plan(self, sweep):
        """Model -> whether all of its trials are in the store, or None where the sweep is refused."""
        ended = subprocess.run([str(Path(options.assay).resolve()), "plan", str(sweep), "--out", str(self.folder / "run"), "--format", "json"],
                               env=self.environment(), text=True, capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        self.assertIn(ended.returncode, (0, 2), ended.stderr)
        if ended.returncode == 2:
            return None
        trials = next(table["rows"] for table in json.loads(ended.stdout) if table["title"] == "Trials")
        done = {}
        for row in trials:
            model = row["trial"].split()[0]
            done[model] = done.get(model, True) and row["done"] == row["stages"]
        return done

    @staticmethod
    def is_stray(path):
        return "stray" in path.name or b"stray" in path.read_bytes()[:16]

    def changes(self):
        """What is changed -> (how, how it is undone); all of it moves a key."""
        def byte(path, at):
            def flip():
                content = bytearray(path.read_bytes())
                content[at] ^= 1
                path.write_bytes(content)
            return flip, flip

        def renamed(path, name):
            return lambda: path.rename(path.with_name(name)), lambda: path.with_name(name).rename(path)

        root = self.folder / "data"
        for path in sorted(self.folder.glob("models/*/*")) + sorted(root.rglob("*")):
            if path.is_file() and not self.is_stray(path):
                at = self.random.randrange(path.stat().st_size)
                yield f"byte {at} of {path}", *byte(path, at)
        yield "name of an image", *renamed(root / "folder/val/dog/1.png", "11.png")
        yield "order of images", *renamed(root / "folder/val/dog/0.png", "4.png")
        yield "name of an image for calibration", *renamed(root / "folder/train/dog/1.png", "11.png")
        yield "an empty folder", lambda: (root / "folder/val/fox").mkdir(), lambda: (root / "folder/val/fox").rmdir()
        sweep = self.folder / "sweep.yaml"
        text = sweep.read_text()
        first, second = root / "cifar/batch_1.bin", root / "cifar/batch_2.bin"
        yield "order of files", lambda: sweep.write_text(text.replace(f"{first}, {second}", f"{second}, {first}")), lambda: sweep.write_text(text)

    def test_every_byte_name_and_order_is_in_the_key(self):
        sweep = self.sweep(["method: rtn, bits: W4A8, calibration_seed: 0, rtn: {act: tensor_static, samples: 4, context: 16}"],
                           ["method: rtn, bits: W4A8, rtn: {samples: 4}"], ["{metric: perplexity, context: 16}", "{metric: top1}"])
        code, output = self.ended(self.begin(sweep, "run"))
        self.assertEqual(code, 0, output)
        self.assertEqual(set(self.plan(sweep).values()), {True})
        moved = refused = 0
        for what, change, undo in self.changes():
            change()
            done = self.plan(sweep)
            self.assertTrue(done is None or False in done.values(), f"{what}: the key is that of before")
            moved, refused = moved + (done is not None), refused + (done is None)
            undo()
        self.assertEqual(set(self.plan(sweep).values()), {True}, "what was put back has its key back")
        for path in self.folder.glob("models/*/*"):
            if self.is_stray(path):
                path.write_bytes(b"stray other")
        self.assertEqual(set(self.plan(sweep).values()), {True}, "a file that nothing reads moves a key")
        print("keys moved", moved, "refused", refused)


class ChangingFileTest(ContentTest):
    """A file that changes between plan and load, during load, and is restored: never a figure of other bytes under a key."""

    def setUp(self):
        super().setUp()
        self.versions = [made.safetensors(forms.opt_tensors(256, seed)) for seed in (0, 5)]
        self.weights = self.write("model/model.safetensors", self.versions[0])
        self.write("model/config.json", forms.opt_config(256))
        text = self.write("text.txt", TEXT)
        self.sweep = self.write("sweep.yaml", f"""assay: 1
name: changing
models: {{m: {{family: opt, weights: {self.weights.parent}, data: t}}}}
data: {{t: {{reader: text, train: [{text}], test: [{text}]}}}}
trials: [{{model: m, method: float}}]
evaluate: [{{metric: perplexity, context: 16, shards: 4}}]
run: {{slots: 1, retries: 2}}
""")
        # An executor that starts late, as on a busy node.
        executor = os.environ.get("ASSAY_EXEC", str(Path(options.assay).resolve().parent / "assay-exec"))
        self.late = self.write("late.sh", f"#!/bin/sh\nsleep 0.7\nexec {executor} \"$@\"\n")
        self.late.chmod(0o755)

    def figure(self, out):
        found = self.rows(out, "SELECT value FROM metric WHERE name = 'perplexity' AND value IS NOT NULL")
        return found[0][0] if found else None

    def digest_of_key(self, out):
        for (recipe,) in self.rows(out, "SELECT recipe FROM stage WHERE name = 'evaluate.language'"):
            for file in json.loads(recipe)["model"]["files"]:
                if file["role"] == "weights":
                    return file["digest"]

    def change(self, content, how):
        before = self.weights.stat()
        if how == "renamed":
            other = self.write("model/other", content)
            os.replace(other, self.weights)
        else:
            with self.weights.open("r+b") as file:
                file.write(content)
        if how == "time put back":
            os.utime(self.weights, ns=(before.st_atime_ns, before.st_mtime_ns))

    def settle(self):
        """The plan trusts identities of files that rest; half of the rounds are with such."""
        time.sleep(2.1)

    def test_a_figure_is_that_of_the_bytes_in_its_key(self):
        expected = {}
        for number, content in enumerate(self.versions):
            self.change(content, "in place")
            code, output = self.ended(self.begin(self.sweep, f"pure{number}", f"pure{number}"))
            self.assertEqual(code, 0, output)
            expected[sha256(content)] = self.figure(f"pure{number}")
        self.assertNotEqual(*expected.values())
        outcomes = []
        for turn in range(options.turns):
            shutil.rmtree(self.folder / "store", ignore_errors=True)
            self.change(self.versions[0], "in place")
            if turn % 2:
                self.settle()
            how = ("in place", "renamed", "time put back")[turn % 3]
            late = {"ASSAY_EXEC": str(self.late)} if turn % 4 < 2 else {}
            out = f"run{turn}"
            process = self.begin(self.sweep, out, **late)
            time.sleep(self.random.uniform(0, 1.2 if late else 0.5))
            self.change(self.versions[1], how)
            if turn % 5 < 3:  # some are restored while the run is on
                time.sleep(self.random.uniform(0, 0.3))
                self.change(self.versions[0], how)
            code, output = self.ended(process)
            figure = self.figure(out) if (self.folder / out / "results.sqlite").exists() else None
            outcomes.append((code, figure is not None))
            if figure is None:
                self.assertNotEqual(code, 0, output)
                self.assertIn(str(self.weights), output)
            else:
                self.assertEqual(figure, expected[self.digest_of_key(out)], f"turn {turn}, {how}: {output}")
            # What stands in the store now holds for the old bytes too.
            self.change(self.versions[0], "in place")
            code, output = self.ended(self.begin(self.sweep, f"again{turn}"))
            self.assertEqual(code, 0, output)
            self.assertEqual(self.figure(f"again{turn}"), expected[sha256(self.versions[0])], f"turn {turn}, {how}")
        print("figures", sum(found for _, found in outcomes), "refusals", sum(not found for _, found in outcomes))


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assay", required=True)
    parser.add_argument("--provider")
    parser.add_argument("--turns", type=int, default=20)
    options, rest = parser.parse_known_args()
    if not os.environ.get("ASSAY_EXEC") and not (Path(options.assay).resolve().parent / "assay-exec").exists():
        print("no assay-exec: nothing opens a checkpoint")
        return 77
    return 0 if unittest.main(argv=[sys.argv[0], *rest], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
