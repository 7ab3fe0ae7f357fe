#!/usr/bin/env python3
"""What comes from outside is broken on purpose, and the programs are watched from outside.

Every case ends with exit code 2 or 4, or with a failed trial and exit code 1, and with one message that names the file, the
place, the value and the mend. None crashes, hangs, makes the program large, leaves a half-written result, or brings a report
of a sanitizer.

    tests/e2e/malformed_test.py --assay build/dev/bin/assay [--exec build/dev/bin/assay-exec] [--sanitized]
"""
import argparse
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import malformed_files as made
import malformed_sweeps as sweeps

HERE = Path(__file__).resolve().parent
PROVIDER = HERE / "malformed_provider.py"
LARGEST_BYTES = 1 << 30
options = None


class Ended:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.message = next((line for line in err.splitlines() if line.startswith("assay: ") and ": warning" not in line), "")


class MalformedCase(unittest.TestCase):
    """A folder of its own for each case; one cache of catalogues for all."""

    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.TemporaryDirectory(prefix="assay-malformed-")
        cls.common = Path(cls.shared.name)

    @classmethod
    def tearDownClass(cls):
        cls.shared.cleanup()

    def setUp(self):
        self.folder = self.common / self.id().rsplit(".", 1)[1]
        self.folder.mkdir()

    @classmethod
    def environment(cls, **more):
        reports = cls.common / "reports"
        reports.mkdir(exist_ok=True)
        found = {**os.environ, "ASSAY_STORE": str(cls.common / "store"), "XDG_CACHE_HOME": str(cls.common / "cache"),
                 "OMP_NUM_THREADS": "1"}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            found[name] = f"{found.get(name, '')}:log_path={reports}/{name}"
        if options.exec:
            found["ASSAY_EXEC"] = str(Path(options.exec).resolve())
        found.update(more)
        return {name: value for name, value in found.items() if value is not None}

    @classmethod
    def assay(cls, *arguments, folder=None, limit_s=60, **environment):
        """Runs the program and holds what must hold for every ending."""
        process = subprocess.Popen([str(Path(options.assay).resolve()), *map(str, arguments)], cwd=folder or cls.common,
                                   env=cls.environment(**environment), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            out, err = process.communicate(timeout=limit_s * (5 if options.sanitized else 1))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise AssertionError(f"hangs: {' '.join(map(str, arguments))}") from None
        ended = Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))
        if ended.code < 0 or ended.code > 4:
            raise AssertionError(f"ended with {ended.code}: {ended.err[-2000:]}")
        reports = sorted((cls.common / "reports").iterdir())
        if reports:
            text = reports[0].read_text(errors="replace")
            for report in reports:
                report.unlink()
            raise AssertionError(f"report of a sanitizer:\n{text[:6000]}")
        return ended

    def assert_says(self, text, pieces):
        for piece in pieces:
            self.assertIn(str(piece), text)

    def assert_refused(self, ended, pieces, code=2):
        """One message with these pieces, and nothing on stdout."""
        self.assertEqual(ended.code, code, ended.err or ended.out)
        self.assert_says(ended.message or ended.err, pieces)
        self.assertNotIn("json.exception", ended.err)
        self.assertNotIn("std::", ended.err)
        self.assertNotIn("basic_string", ended.err)

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    @classmethod
    def head(cls, mode=""):
        provider = f"{PROVIDER}, {mode}" if mode else str(PROVIDER)
        return sweeps.HEAD.format(python=sys.executable, provider=provider)


def case(of, name, body):
    """Adds a test method to a class: one for each row of a table."""
    method = f"test_{name}"
    assert not hasattr(of, method), name
    setattr(of, method, body)


# ---- sweep files


class SweepFiles(MalformedCase):
    def plan(self, content, *arguments):
        sweep = self.write("sweep.yaml", content)
        ended = self.assay("plan", sweep, *arguments, folder=self.folder)
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), ["sweep.yaml"])
        return ended

    def test_the_whole_one_is_planned(self):
        ended = self.plan(self.head() + sweeps.TRIAL)
        self.assertEqual(ended.code, 0, ended.err)

    def test_a_run_that_is_refused_makes_no_folder(self):
        sweep = self.write("sweep.yaml", self.head() + "trials: [{model: nett, method: plain}]\n")
        self.assert_refused(self.assay("run", sweep, folder=self.folder), ["sweep.yaml:5:18:", "'nett'"])
        self.assertFalse((self.folder / "runs").exists())

    def test_a_folder_in_place_of_the_file(self):
        self.assert_refused(self.assay("plan", self.folder), [self.folder])

    def test_a_pipe_in_place_of_the_file(self):
        os.mkfifo(self.folder / "pipe.yaml")
        self.assert_refused(self.assay("plan", self.folder / "pipe.yaml", limit_s=30), ["pipe.yaml", "not a file"])

    def test_a_device_in_place_of_the_file(self):
        self.assert_refused(self.assay("plan", "/dev/zero", limit_s=30), ["/dev/zero"])

    def test_override_of_an_unknown_key(self):
        ended = self.plan(self.head() + sweeps.TRIAL, "--set", "run.slotz=2")
        self.assert_refused(ended, ["run.slotz", "did you mean 'slots'"])

    def test_override_without_a_value(self):
        self.assert_refused(self.plan(self.head() + sweeps.TRIAL, "--set", "run.slots"), ["run.slots", "="])

    def test_override_of_an_element_that_is_not_there(self):
        self.assert_refused(self.plan(self.head() + sweeps.TRIAL, "--set", "trials.7.seed=1"), ["trials.7", "7"])

    def test_filter_that_is_no_expression(self):
        self.assert_refused(self.plan(self.head() + sweeps.TRIAL, "--only", "method == "), ["--only", "method =="])


for row, (text, pieces) in sweeps.AFTER_HEAD.items():
    case(SweepFiles, row, lambda self, text=text, pieces=pieces: self.assert_refused(
        self.plan(self.head() + text), ["sweep.yaml", *pieces]))
for row, (text, pieces) in sweeps.WHOLE.items():
    case(SweepFiles, row, lambda self, text=text, pieces=pieces: self.assert_refused(
        self.plan(text), ["sweep.yaml", *pieces]))


# ---- safetensors files, as `assay describe --model` reads them


ONE = {"a": made.floats(2, 2)}


def entry(**changes):
    fields = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16], **changes}
    return made.with_header(json.dumps({"a": fields}).encode(), bytes(16))


SAFETENSORS = {
    "an_empty_file": (b"", ["model.safetensors", "8-byte"]),
    "four_bytes": (b"abcd", ["model.safetensors", "8-byte"]),
    "a_header_longer_than_the_file": (made.with_header(b"{}", length=1000), ["model.safetensors", "1000", "10"]),
    "a_header_of_2_to_the_63_bytes": (made.with_header(b"{}", length=1 << 63), ["model.safetensors", str(1 << 63)]),
    "a_header_that_is_no_json": (made.with_header(b"{'a': 1}"), ["model.safetensors", "byte 2"]),
    "a_header_that_is_cut_off": (made.with_header(b'{"a": {"dtype": "F32", "sha'), ["model.safetensors", "byte"]),
    "a_header_that_is_a_list": (made.with_header(b"[]"), ["model.safetensors", "object"]),
    "a_header_nested_too_deep": (made.with_header(b'{"a":' * 5000 + b"1" + b"}" * 5000), ["model.safetensors", "deeper than"]),
    "a_header_that_is_not_utf8": (made.with_header(b'{"\xff\xfe": {}}'), ["model.safetensors", "byte"]),
    "an_entry_without_dtype": (made.with_header(b'{"a": {"shape": [1], "data_offsets": [0, 4]}}', bytes(4)), ["'a'", "dtype"]),
    "an_unknown_dtype": (entry(dtype="F8_E4M3"), ["'a'", "F8_E4M3", "F32"]),
    "a_negative_extent": (entry(shape=[-2, 2]), ["'a'", "-2"]),
    "a_fractional_extent": (entry(shape=[2.5, 2]), ["'a'", "2.5"]),
    "extents_whose_product_overflows": (entry(shape=[1 << 32, 1 << 32, 1 << 32]), ["'a'", str(1 << 32)]),
    "extents_of_zero_and_2_to_the_62": (made.with_header(json.dumps({"a": {"dtype": "F32", "shape": [1 << 62, 1 << 62, 0],
                                                                           "data_offsets": [0, 0]}}).encode()), ["'a'", str(1 << 62)]),
    "offsets_behind_the_end": (entry(data_offsets=[0, 4000]), ["'a'", "4000", "16"]),
    "offsets_that_run_backwards": (entry(data_offsets=[16, 0]), ["'a'", "16"]),
    "offsets_that_do_not_fit_the_shape": (entry(data_offsets=[0, 8]), ["'a'", "16", "8"]),
    "three_offsets": (entry(data_offsets=[0, 8, 16]), ["'a'", "data_offsets"]),
    "tensors_that_overlap": (made.with_header(json.dumps({name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
                                                          for name in "ab"}).encode(), bytes(8)), ["'b'", "0", "8"]),
    "a_hole_between_tensors": (made.with_header(json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}).encode(),
                                                bytes(8)), ["'a'", "4"]),
    "bytes_after_the_last_tensor": (made.safetensors(ONE) + bytes(7), ["7 bytes"]),
    "data_that_is_cut_off": (made.safetensors(ONE)[:-6], ["'a'", "16", "10"]),
    "a_tensor_named_twice": (made.with_header(b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}, '
                                              b'"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', bytes(8)), ["'a'"]),
    "metadata_that_is_no_text": (made.safetensors(ONE, metadata={"format": 7}), ["'format'", "text"]),
    "a_pickle": (b"PK\x03\x04" + b"archive/data.pkl" + bytes(200), ["model.safetensors"]),
}


class Safetensors(MalformedCase):
    def describe(self, content, config=b"{}"):
        self.write("config.json", config)
        self.write("model.safetensors", content)
        return self.assay("describe", "--model", self.folder)

    def test_the_whole_one_is_described(self):
        self.assertEqual(self.describe(made.safetensors(ONE)).code, 0)

    def test_a_folder_without_weights(self):
        self.assert_refused(self.assay("describe", "--model", self.folder), [self.folder, "config.json"])
        (self.folder / "config.json").write_text("{}")
        self.assert_refused(self.assay("describe", "--model", self.folder), [self.folder, "safetensors"])

    def test_a_link_to_nowhere(self):
        (self.folder / "config.json").write_text("{}")
        (self.folder / "model.safetensors").symlink_to("nowhere")
        self.assert_refused(self.assay("describe", "--model", self.folder), ["model.safetensors"])

    def test_a_pipe_in_place_of_weights(self):
        (self.folder / "config.json").write_text("{}")
        os.mkfifo(self.folder / "model.safetensors")
        self.assert_refused(self.assay("describe", "--model", self.folder, limit_s=30), ["model.safetensors"])

    def test_a_config_that_is_no_json(self):
        self.assert_refused(self.describe(made.safetensors(ONE), b"{model_type: vit}"), ["config.json", "byte 2"])

    def test_a_config_that_is_a_list(self):
        self.assert_refused(self.describe(made.safetensors(ONE), b"[1]"), ["config.json", "object"])

    def test_a_config_nested_too_deep(self):
        self.assert_refused(self.describe(made.safetensors(ONE), b"[" * 100000), ["config.json", "deeper than"])


for row, (content, pieces) in SAFETENSORS.items():
    case(Safetensors, row, lambda self, content=content, pieces=pieces: self.assert_refused(
        self.describe(content), ["model.safetensors", *pieces]))


# ---- files that a sweep names


class NamedFiles(MalformedCase):
    def plan(self, models="", data="", metric="score", model="net"):
        sweep = self.write("sweep.yaml", f"""assay: 1
providers: [{{command: [{sys.executable}, {PROVIDER}]}}]
models: {{{models or "net: {family: toy, config: {width: 4}}"}}}
data: {{{data}}}
trials: [{{model: {model}, method: {{round: {{}}}}, bits: W4A8}}]
evaluate: [{{metric: {metric}}}]
""")
        return self.assay("plan", sweep, folder=self.folder)

    def test_weights_that_are_not_there(self):
        self.assert_refused(self.plan("net: {family: toy, weights: wegihts}"), ["sweep.yaml:3:", "'net'", "wegihts"])

    def test_weights_without_a_config(self):
        self.write("w/model.safetensors", made.safetensors(ONE))
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "config.json"])

    def test_weights_in_a_pickle(self):
        self.write("w/pytorch_model.bin", b"PK\x03\x04")
        self.write("w/config.json", "{}")
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "pytorch_model.bin", "convert"])

    def test_an_index_that_is_no_json(self):
        self.write("w/config.json", "{}")
        self.write("w/model.safetensors.index.json", "{weight_map")
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "index.json", "byte"])

    def test_an_index_without_a_map(self):
        self.write("w/config.json", "{}")
        self.write("w/model.safetensors.index.json", '{"weight_map": [1]}')
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "index.json", "weight_map"])

    def test_an_index_that_leads_out_of_its_folder(self):
        self.write("w/config.json", "{}")
        self.write("w/model.safetensors.index.json", '{"weight_map": {"a": "../../etc/passwd"}}')
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "'a'", "../../etc/passwd"])

    def test_a_shard_that_is_not_there(self):
        self.write("w/config.json", "{}")
        self.write("w/model.safetensors.index.json", '{"weight_map": {"a": "model-00001-of-00002.safetensors"}}')
        self.assert_refused(self.plan("net: {family: toy, weights: w}"), ["sweep.yaml:3:", "model-00001-of-00002.safetensors"])

    def test_data_that_is_not_there(self):
        ended = self.plan("net: {family: toy, config: {width: 1}, data: d}", "d: {reader: pairs, test: {images: a, labels: b}}", "images")
        self.assert_refused(ended, ["sweep.yaml:4:", "'d'", "/a'", "not there"])

    def test_a_folder_where_a_file_is_meant(self):
        (self.folder / "a").mkdir()
        ended = self.plan("net: {family: toy, config: {width: 1}, data: d}", "d: {reader: pairs, test: {images: a, labels: a}}", "images")
        self.assert_refused(ended, ["sweep.yaml:4:", "is a folder; expected a file"])

    def test_a_data_set_that_is_not_installed(self):
        ended = self.plan("net: {family: toy, config: {width: 1}, data: d}", "d: {reader: shipped}", "images")
        self.assert_refused(ended, ["sweep.yaml:4:", "'d'", "/nowhere/shipped", "root:"])

    def test_a_split_that_the_data_lack(self):
        self.write("a", "x")
        ended = self.plan("net: {family: toy, config: {width: 1}, data: d}", "d: {reader: pairs, tset: {images: a, labels: a}}", "images")
        self.assert_refused(ended, ["sweep.yaml:4:", "'tset'", "did you mean 'test'"])

    def test_a_folder_of_images_without_the_split(self):
        ended = self.plan("net: {family: toy, config: {width: 1}, data: d}", "d: {reader: folders, root: .}", "images")
        self.assert_refused(ended, ["sweep.yaml:4:", "test or val"])

    def test_a_model_without_a_tokenizer(self):
        self.write("w/config.json", "{}")
        self.write("w/model.safetensors", made.safetensors(ONE))
        self.write("t.txt", "words")
        ended = self.plan("lm: {family: toy_text, weights: w, data: d}", "d: {reader: lines, test: t.txt}", "words", "lm")
        self.assert_refused(ended, ["sweep.yaml:3:", "'lm'", "tokenizer.json"])


# ---- providers that break hello or their catalogue


PROVIDERS = {  # mode: (exit code, pieces)
    "ends_at_once": (4, ["exit", "No module named torch"]),
    "prints_into_the_socket": (2, ["not valid JSON", "byte"]),
    "line_without_end": (2, ["1048576"]),
    "hello_of_a_future_version": (4, ["99", "version 1"]),
    "hello_without_provider": (2, ["'provider'"]),
    "hello_with_text_as_version": (2, ["'protocol'", "one", "integer"]),
    "catalogue_not_json": (2, ["not valid JSON", "byte"]),
    "catalogue_empty": (2, ["not valid JSON", "byte"]),
    "catalogue_is_a_list": (2, ["mapping", "[1,2]"]),
    "catalogue_of_unknown_parameter_type": (2, ["complex", "integer"]),
    "catalogue_lacks_a_name": (2, ["'name'"]),
    "catalogue_names_no_stage": (2, ["toy.netwrok", "did you mean 'toy.network'"]),
    "catalogue_of_another_name": (4, ["'toy'", "'somebody'"]),
    "catalogue_with_stages_as_text": (2, ["stages", "list"]),
    "described_elsewhere": (4, ["/etc/passwd"]),
}


class BrokenProviders(MalformedCase):
    def test_a_program_that_is_not_there(self):
        sweep = self.write("sweep.yaml", sweeps.HEAD.format(python="/nowhere/python", provider="x") + sweeps.TRIAL)
        self.assert_refused(self.assay("plan", sweep), ["/nowhere/python"], code=4)

    def test_a_program_that_may_not_run(self):
        text = self.write("provider.txt", "hello")
        sweep = self.write("sweep.yaml", sweeps.HEAD.format(python=text, provider="x") + sweeps.TRIAL)
        self.assert_refused(self.assay("plan", sweep), ["provider.txt", "ermission"], code=4)


for row, (code, pieces) in PROVIDERS.items():
    case(BrokenProviders, row, lambda self, row=row, code=code, pieces=pieces: self.assert_refused(
        self.assay("plan", self.write("sweep.yaml", self.head(row) + sweeps.TRIAL)), ["malformed_provider.py", *pieces], code))


# ---- sweeps whose trials fail one by one: all in one run


class FailedTrials:
    """Beside MalformedCase: runs one sweep; each case looks at the trial that is its own."""

    @classmethod
    def run_once(cls, text):
        (cls.common / "sweep.yaml").write_text(text)
        ended = cls.assay("run", cls.common / "sweep.yaml", "--out", cls.common / "run", "--jobs", "2", limit_s=100)
        if ended.code != 1:
            raise AssertionError(f"ended with {ended.code}: {ended.err[-3000:]}")
        cls.ended = ended

    @classmethod
    def rows(cls, query, *values):
        with sqlite3.connect(f"file:{cls.common}/run/results.sqlite?mode=ro", uri=True) as database:
            return database.execute(query, values).fetchall()

    def assert_failed(self, where, value, kind, pieces):
        found = self.rows("SELECT DISTINCT s.key, s.kind, s.message FROM stage s JOIN trial_stage ts ON ts.stage = s.key JOIN trial t "
                          f"ON t.id = ts.trial WHERE s.state = 'failed' AND {where} = ?", value)
        self.assertEqual(len({(kind, message) for _, kind, message in found}), 1, found)
        if kind is not None:
            self.assertEqual(found[0][1], kind, found)
        self.assert_says(found[0][2], pieces)
        self.assertNotIn("json.exception", found[0][2])
        for key, _, _ in found:
            self.assertFalse(list((self.common / "store").glob(f"objects/*/{key}*")), "a failed stage has an artifact")

    def test_nothing_half_written_is_left(self):
        store = self.common / "store"
        self.assertEqual([p for owner in store.glob("tmp/*") for p in owner.iterdir()], [])
        self.assertEqual(self.rows("PRAGMA integrity_check"), [("ok",)])
        self.assertEqual(self.rows("SELECT count(*) FROM stage WHERE state = 'pending'"), [(0,)])
        self.assertEqual(json.loads((self.common / "run" / "status.json").read_text())["exit_code"], 1)

    def test_the_board_still_opens(self):
        self.assertEqual(self.assay("board", self.common / "run").code, 0)


RUNS = {  # how: (kind, pieces)
    "ends_the_process": ("crash", ["3"]),
    "text_instead_of_json": ("crash", ["not valid JSON", "byte 1"]),
    "bytes_instead_of_json": ("crash", ["not valid JSON", "byte 1"]),
    "invalid_utf8": ("crash", ["UTF-8"]),
    "a_list": ("crash", ["object", "done"]),
    "deeply_nested": ("crash", ["deeper than 32"]),
    "no_type": ("crash", ["'type'"]),
    "unknown_type": ("crash", ["'dnoe'", "did you mean 'done'"]),
    "wrong_type_of_field": ("crash", ["'done'", "integer", "half"]),
    "missing_field": ("crash", ["'value'", "loss"]),
    "fractional_step": ("crash", ["'step'", "integer", "1.5"]),
    "too_long": ("crash", ["1048576"]),
    "line_without_end": ("crash", ["1048576"]),
    "downward": ("crash", ["'run'"]),
    "metric_is_text": ("data", ["'score'", "many"]),
    "metric_is_nan": ("method", ["result.metrics.score is NaN", "send null"]),
    "unknown_failure_kind": ("crash", ["'oops'", "method"]),
    "another_attempt": ("timeout", ["stall_timeout"]),
    "closes_the_socket": ("crash", ["closed"]),
    "result_is_a_number": ("crash", ["'result'", "7"]),
    "output_with_result_json": ("data", ["result.json"]),
    "output_with_a_link": ("data", ["model.safetensors"]),
    "output_is_a_file": ("data", ["folder"]),
    "huge_integer": ("crash", ["not valid JSON", "number overflow"]),
    "empty_line": ("crash", ["not valid JSON"]),
    "done_without_metrics": ("data", ["metrics"]),
}


class ProtocolMessages(FailedTrials, MalformedCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_once(cls.head() + f"trials: [{{model: net, method: {{broken: {{how: [{', '.join(RUNS)}]}}}}}}]\n"
                     "run: {retries: 0, max_failures: none, stall_timeout: 6s}\n")

    def test_every_way_is_tried(self):
        self.assertEqual(self.rows("SELECT count(*) FROM stage WHERE state = 'failed'"), [(len(RUNS),)])


for row, (kind, pieces) in RUNS.items():
    case(ProtocolMessages, row, lambda self, row=row, kind=kind, pieces=pieces: self.assert_failed(
        "json_extract(s.recipe, '$.parameters.how')", row, kind, pieces))


# ---- results databases


def page_of_noise(data, begin, size=64):
    return data[:begin] + b"\xa5" * size + data[begin + size:]


class Databases(MalformedCase):
    """Each case damages a copy of the database of a run that ended well."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        (cls.common / "sweep.yaml").write_text(cls.head() + "trials: [{model: net, method: {round: {group: [1, 2, 3]}}, bits: W4A8}]\n")
        ended = cls.assay("run", cls.common / "sweep.yaml", "--out", cls.common / "run", "--jobs", "2", limit_s=60)
        if ended.code != 0:
            raise AssertionError(f"the run that is damaged ended with {ended.code}: {ended.err}")
        cls.whole = (cls.common / "run" / "results.sqlite").read_bytes()

    def database(self, content):
        self.write("run/run.json", (self.common / "run" / "run.json").read_bytes())
        return self.write("run/results.sqlite", content)

    def changed(self, *statements):
        file = self.database(self.whole)
        with sqlite3.connect(file) as database:
            database.execute("PRAGMA writable_schema = ON")
            for statement in statements:
                database.execute(statement)
        database.close()

    def refused_by(self, pieces, code=4, commands=("board", "export")):
        for command in commands:
            self.assert_refused(self.assay(command, self.folder / "run"), ["results.sqlite", *pieces], code)
        self.assert_refused(self.assay("query", self.folder / "run", "SELECT * FROM leaderboard"), pieces, code)

    def restored(self):
        """The same command moves a damaged file aside and brings the results back from the store."""
        ended = self.assay("run", self.common / "sweep.yaml", "--out", self.folder / "run")
        self.assertEqual(ended.code, 0, ended.err)
        self.assertIn("0 stages run", ended.err)
        self.assertTrue(list((self.folder / "run").glob("results.damaged-*.sqlite")))

    def test_text_in_place_of_a_database(self):
        self.database(b"model,method,top1\n" * 100)
        self.refused_by(["damaged", "assay run"])
        self.restored()

    def test_a_database_that_is_cut_off(self):
        self.database(self.whole[:len(self.whole) // 2])
        self.refused_by(["damaged", "assay run"])
        self.restored()

    def test_a_database_with_a_damaged_header(self):
        self.database(b"\xff" * 100 + self.whole[100:])
        self.refused_by(["damaged", "assay run"])
        self.restored()

    def test_a_database_with_a_damaged_page(self):
        self.database(page_of_noise(self.whole, 4096 * 2, 4096 * (len(self.whole) // 4096 - 2)))
        self.refused_by(["damaged", "assay run"])
        self.restored()

    def test_an_empty_file_in_place_of_a_database(self):
        self.database(b"")
        self.refused_by(["no results yet", "assay run"])

    def test_a_folder_in_place_of_a_database(self):
        (self.folder / "run" / "results.sqlite").mkdir(parents=True)
        self.refused_by(["not a file", "assay run"], code=2)

    def test_a_database_of_another_program(self):
        self.changed("PRAGMA application_id = 7")
        self.refused_by(["another program", "7", "--out"])
        ended = self.assay("run", self.common / "sweep.yaml", "--out", self.folder / "run")
        self.assert_refused(ended, ["another program", "--out"], code=4)

    def test_a_database_of_a_newer_program(self):
        self.changed("PRAGMA user_version = 99")
        self.refused_by(["99", "newer Assay"])
        ended = self.assay("run", self.common / "sweep.yaml", "--out", self.folder / "run")
        self.assert_refused(ended, ["99", "newer Assay"], code=4)

    def test_a_database_without_a_table(self):
        self.changed("DROP TABLE metric")
        self.refused_by(["damaged", "metric"])

    def test_a_database_without_a_column(self):
        self.changed("UPDATE sqlite_master SET sql = replace(sql, 'value REAL', 'worth REAL') WHERE name = 'metric'")
        self.refused_by(["value"], code=2)

    def test_a_database_whose_identity_is_no_json(self):
        self.changed("UPDATE trial SET identity = '{\"model\": '")
        for command in ("board", "export"):
            self.assert_refused(self.assay(command, self.folder / "run"), ["results.sqlite", "trial", "not what was published"], code=4)

    def test_a_database_whose_text_is_no_utf8(self):
        self.changed("UPDATE trial SET label = CAST(x'fffe41' AS TEXT)")
        for arguments in (["board"], ["board", "--format", "json"], ["export"], ["export", "--format", "json"]):
            ended = self.assay(arguments[0], self.folder / "run", *arguments[1:])
            self.assertEqual(ended.code, 0, ended.err)

    def test_a_query_that_is_no_sql(self):
        self.database(self.whole)
        self.assert_refused(self.assay("query", self.folder / "run", "SELEKT 1"), ["SELEKT"])

    def test_a_query_that_writes(self):
        self.database(self.whole)
        self.assert_refused(self.assay("query", self.folder / "run", "DELETE FROM trial"), ["read"])
        self.assertEqual(self.assay("board", self.folder / "run").code, 0)

    def test_a_trial_that_is_not_there(self):
        self.database(self.whole)
        self.assert_refused(self.assay("show", "ffffffff", "--run", self.folder / "run"), ["'ffffffff'"])

    def test_a_run_that_is_not_there(self):
        self.assert_refused(self.assay("board", self.folder / "nowhere"), ["nowhere", "results.sqlite"])


# ---- what surrounds a run: variables, the store, files of the run folder


class Surroundings(MalformedCase):
    def sweep(self):
        return self.write("sweep.yaml", self.head() + sweeps.TRIAL)

    def start(self, *arguments, **environment):
        store = {"ASSAY_STORE": str(self.folder / "store"), **environment}
        return self.assay("run", self.sweep(), "--out", self.folder / "run", "--jobs", "1", *arguments, **store)

    def test_a_store_that_is_a_file(self):
        file = self.write("file", "x")
        self.assert_refused(self.start(ASSAY_STORE=str(file)), [file, "ASSAY_STORE"], code=4)

    def test_a_store_below_a_file(self):
        file = self.write("file", "x")
        self.assert_refused(self.start(ASSAY_STORE=str(file / "store")), [file, "ASSAY_STORE"], code=4)

    def test_a_store_in_a_file_system_that_takes_none(self):
        self.assert_refused(self.start(ASSAY_STORE="/proc/assay"), ["/proc/assay", "ASSAY_STORE"], code=4)

    def test_no_place_for_a_store(self):
        ended = self.start(ASSAY_STORE=None, XDG_CACHE_HOME=None, HOME=None)
        self.assert_refused(ended, ["ASSAY_STORE", "HOME"], code=4)

    def test_a_run_folder_below_a_file(self):
        file = self.write("file", "x")
        ended = self.assay("run", self.sweep(), "--out", file / "run")
        self.assert_refused(ended, [file, "run folder"], code=4)

    def test_an_executor_that_is_not_there(self):
        sweep = self.write("sweep.yaml", "assay: 1\nmodels: {net: {family: vit, config: {}}}\ntrials: [{model: net, method: float}]\n")
        self.assert_refused(self.assay("plan", sweep, ASSAY_EXEC="/nowhere/assay-exec"), ["/nowhere/assay-exec", "ASSAY_EXEC"], code=4)

    def test_an_executor_that_is_another_program(self):
        sweep = self.write("sweep.yaml", "assay: 1\nmodels: {net: {family: vit, config: {}}}\ntrials: [{model: net, method: float}]\n")
        self.assert_refused(self.assay("plan", sweep, ASSAY_EXEC="/bin/true"), ["/bin/true", "hello"], code=4)

    def test_an_end_of_the_job_that_is_no_number(self):
        self.assertEqual(self.start(SLURM_JOB_END_TIME="soon").code, 0)

    def test_a_run_json_that_is_no_json(self):
        self.write("run/run.json", "{")
        self.assert_refused(self.start(), ["run.json", "byte"])

    def test_a_run_json_of_wrong_types(self):
        self.write("run/run.json", '{"id": 7, "sweep": ["sweep"]}')
        self.assert_refused(self.start(), ["run.json", "'id'", "--out"])

    def test_a_run_json_that_leads_out_of_the_store(self):
        self.write("run/run.json", '{"id": "../../outside", "sweep": "sweep"}')
        self.assert_refused(self.start(), ["../../outside"])
        self.assertFalse((self.folder / "outside.json").exists())

    def test_the_folder_of_another_sweep(self):
        self.write("run/run.json", '{"id": "x-1", "sweep": "other"}')
        self.assert_refused(self.start(), ["'other'", "'sweep'", "--out"])

    def test_a_lock_that_was_cut_short(self):
        lock = self.write("run/run.lock", '{"host": "n')
        os.utime(lock, (1, 1))
        self.assertEqual(self.start().code, 0)

    def test_a_lock_of_wrong_types(self):
        self.write("run/results.sqlite", "")
        self.write("run/run.lock", '{"host": 7, "pid": "many"}')
        self.assert_refused(self.assay("cancel", self.folder / "run"), ["run.lock", "started", "remove it"])

    def test_a_status_that_is_no_json(self):
        self.write("run/status.json", '{"state": "run')
        self.assert_refused(self.assay("status", self.folder / "run"), ["status.json", "byte"])

    def test_a_status_of_wrong_types(self):
        self.write("run/status.json", '{"state": ["running"]}')
        self.assert_refused(self.assay("status", self.folder / "run"), ["status.json"])

    def test_a_root_of_wrong_types(self):
        self.write("store/roots/x.json", '{"run": "x", "keys": 7}')
        ended = self.assay("store", "gc", ASSAY_STORE=str(self.folder / "store"))
        self.assertEqual(ended.code, 0, ended.err)  # it may be another user's run: what it may need stays
        self.assertIn("x.json", ended.err)
        self.assertIn("remove it", ended.err)

    def test_artifacts_that_are_damaged_are_made_again(self):
        self.assertEqual(self.start().code, 0)
        results = list((self.folder / "store" / "objects").glob("*/*.json"))
        self.assertTrue(results)
        for number, file in enumerate(results):
            file.write_bytes([b"", b"{", b"[]", b'{"key": 7}', b"\xff\xfe"][number % 5])
        ended = self.start()
        self.assertEqual(ended.code, 0, ended.err)
        self.assertNotIn("0 stages run", ended.err)
        self.assertEqual(len(list((self.folder / "store" / "damaged").iterdir())), len(results))

    def test_a_cache_of_catalogues_that_is_damaged(self):
        cache = self.folder / "cache"
        self.assertEqual(self.start(XDG_CACHE_HOME=str(cache)).code, 0)
        for file in cache.rglob("*.json"):
            file.write_text('{"version": 1, "files": {"a": 7}, "stages": 1}')
        self.assertEqual(self.start(XDG_CACHE_HOME=str(cache)).code, 0)

    def test_a_name_of_a_run_that_is_no_text(self):
        ended = self.assay("run", self.sweep(), "--out", os.fsdecode(os.fsencode(self.folder) + b"/\xff\xfe"))
        self.assert_refused(ended, ["UTF-8", "--out"])


# ---- checkpoints, images, texts and tokenizers, as the stages of assay-exec read them


def vit(weights=None, config=None, extra=None):
    return "vit", made.safetensors({**made.vit_tensors(), **(weights or {})}), {**made.VIT_CONFIGURATION, **(config or {})}, extra or {}


def opt(extra=None, weights=None, config=None):
    return "opt", made.safetensors({**made.opt_tensors(), **(weights or {})}), {**made.OPT_CONFIGURATION, **(config or {})}, extra or {}


def without(name):
    tensors = made.vit_tensors()
    del tensors[name]
    return "vit", made.safetensors(tensors), made.VIT_CONFIGURATION, {}


def tokenizer(**changes):
    return opt({"tokenizer.json": json.dumps({**made.byte_level_tokenizer(), **changes}).encode()}, config={"vocab_size": 300},
               weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)})


BYTES = made.byte_level_tokenizer()["model"]
NAN = ("F32", [3, 8], b"\x00\x00\xc0\x7f" * 24)

# name: ((family, weights, config.json, more files), kind, pieces)
CHECKPOINTS = {
    "weights_that_are_empty": (("vit", b"", made.VIT_CONFIGURATION, {}), "data", ["model.safetensors", "8-byte"]),
    "weights_whose_header_lies": (("vit", made.with_header(b"{}", length=1 << 40), made.VIT_CONFIGURATION, {}), "data",
                                  ["model.safetensors", str(1 << 40)]),
    "weights_that_are_cut_off": (("vit", made.safetensors(made.vit_tensors())[:-100], made.VIT_CONFIGURATION, {}), "data",
                                 ["model.safetensors", "truncated"]),
    "a_tensor_that_is_missing": (without("norm.weight"), "data", ["1 missing", "norm.weight"]),
    "a_tensor_nobody_asked_for": (vit({"heads.0.weight": made.floats(3, 8)}), "data", ["1 unexpected", "heads.0.weight"]),
    "a_tensor_of_another_shape": (vit({"head.weight": made.floats(8, 3)}), "data", ["'head.weight' is [8, 3], not [3, 8]"]),
    "a_tensor_of_integers": (vit({"head.weight": ("I32", [3, 8], bytes(96))}), "data", ["'head.weight' is I32", "F32"]),
    "a_tensor_without_values": (vit({"head.weight": made.floats(0, 8)}), "data", ["'head.weight' is [0, 8], not [3, 8]"]),
    "a_tensor_of_not_a_number": (vit({"head.weight": NAN}), None, ["finite"]),
    "two_names_for_one_tensor": (vit({"module.head.weight": made.floats(3, 8)}), "data", ["head.weight", "the same tensor"]),
    "a_config_without_width": (vit(config={"embed_dim": None}), "config", ["'embed_dim'", "missing"]),
    "a_config_with_text_as_width": (vit(config={"embed_dim": "8"}), "config", ["embed_dim", '"8"', "integer"]),
    "a_config_of_depth_minus_one": (vit(config={"depth": -1}), "config", ["depth", "-1", "1"]),
    "a_config_of_depth_2_to_the_40": (vit(config={"depth": 1 << 40}), "config", ["depth", str(1 << 40), "1024"]),
    "a_config_of_half_a_head": (vit(config={"num_heads": 1.5}), "config", ["num_heads", "1.5", "integer"]),
    "a_config_with_three_heads_of_eight": (vit(config={"num_heads": 3}), "config", ["'embed_dim'", "8", "num_heads 3"]),
    "a_config_of_a_patch_that_does_not_divide": (vit(config={"patch_size": 3}), "config", ["'img_size'", "8", "patch_size 3"]),
    "a_config_with_two_means_for_one_channel": (vit(config={"mean": [0.5, 0.5]}), "config", ["'mean'", "2 values for 1 channels"]),
    "a_config_of_deviation_zero": (vit(config={"std": [0]}), "config", ["std", "0"]),
    "a_config_of_an_activation_not_offered": (vit(config={"act_layer": "swish"}), "unsupported", ["'act_layer'", "swish", "gelu"]),
    "a_config_that_is_a_list": (("vit", made.safetensors(made.vit_tensors()), [1], {}), None, ["config"]),
    "a_config_of_the_largest_network": (vit(config={"embed_dim": 65536, "depth": 1024, "num_heads": 1024, "img_size": 4096,
                                                    "patch_size": 1, "mlp_ratio": 64}), "config", ["parameters", "16777217"]),
    "a_tokenizer_that_is_no_json": (opt({"tokenizer.json": b"{'model': 1}"}, config={"vocab_size": 300},
                                        weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}), "data",
                                    ["tokenizer.json", "byte 2"]),
    "a_tokenizer_without_a_model": (tokenizer(model=None), "data", ["tokenizer.json", "model"]),
    "a_tokenizer_of_another_kind": (tokenizer(model={"type": "WordPiece", "vocab": {}}), "unsupported", ["tokenizer.json", "WordPiece"]),
    "a_tokenizer_with_a_negative_id": (tokenizer(model={**BYTES, "vocab": {**BYTES["vocab"], "a": -5}}), "data", ["'a'", "-5"]),
    "a_tokenizer_with_an_id_of_2_to_the_40": (tokenizer(model={**BYTES, "vocab": {**BYTES["vocab"], "a": 1 << 40}}), "data",
                                              ["'a'", str(1 << 40)]),
    "a_tokenizer_with_half_a_merge": (tokenizer(model={**BYTES, "merges": ["ab"]}), "data", ["tokenizer.json", "merge 0"]),
    "a_tokenizer_that_merges_into_nothing": (tokenizer(model={**BYTES, "merges": ["a b"]}), "data", ["tokenizer.json", "ab"]),
    "a_tokenizer_with_a_bad_expression": (tokenizer(pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated",
                                                                   "invert": False}), None, ["tokenizer.json", "(a"]),
    "a_tokenizer_with_an_expression_without_end": (tokenizer(pre_tokenizer={
        "type": "Split", "pattern": {"Regex": "(\\p{L}+\\s?)+[#:]"}, "behavior": "Isolated", "invert": False}), "data", ["failed on a text", "limit"]),
    "a_tokenizer_of_another_version": (tokenizer(version="2.0"), "unsupported", ["tokenizer.json", '"2.0"', "1.0"]),
    "a_tokenizer_that_begins_texts_with_a_stranger": (opt({
        "tokenizer.json": json.dumps(made.byte_level_tokenizer()).encode(),
        "tokenizer_config.json": b'{"add_bos_token": true, "bos_token": "<begin>"}'}, config={"vocab_size": 300},
        weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}), "data",
        ["tokenizer_config.json", "add_bos_token", "'<begin>'"]),
    "a_sentencepiece_model_of_noise": (opt({"tokenizer.model": b"\xff\xfe" * 500}, config={"vocab_size": 300},
                                           weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}), "data",
                                       ["tokenizer.model", "SentencePiece"]),
    "merges_that_are_no_text": (opt({"vocab.json": json.dumps(BYTES["vocab"]).encode(), "merges.txt": b"#version\n\xff\xfe x\n",
                                     "special_tokens_map.json": b'{"bos_token": "a"}', "added_tokens.json": b'{"b": 1}'},
                                    config={"vocab_size": 300}, weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}),
                                "data", ["merges.txt", "UTF-8"]),
    "tokenizer_files_that_contradict_each_other": (opt({
        "tokenizer.json": json.dumps({**made.byte_level_tokenizer(), "added_tokens": [{"id": 290, "content": "<x>"}]}).encode(),
        "added_tokens.json": b'{"<x>": 291}'}, config={"vocab_size": 300},
        weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}), "data",
        ["tokenizer.json", "added_tokens.json", "'<x>'", "290", "291"]),
    "an_added_token_with_an_id_of_2_to_the_40": (opt({
        "tokenizer.json": json.dumps(made.byte_level_tokenizer()).encode(),
        "tokenizer_config.json": json.dumps({"added_tokens_decoder": {str(1 << 40): {"content": "<x>"}}}).encode()},
        config={"vocab_size": 300}, weights={"model.decoder.embed_tokens.weight": made.floats(300, 8)}), "data",
        ["tokenizer_config.json", str(1 << 40)]),
    "a_vocabulary_larger_than_the_network": (opt({"tokenizer.json": json.dumps({**made.byte_level_tokenizer(), "added_tokens": [
        {"id": 4000, "content": "t", "special": False}]}).encode()}), None, ["4000"]),
}

PIXELS, LABELS = made.idx([4, 8, 8]), made.idx([4], bytes([0, 1, 2, 0]))


def pair(images=PIXELS, labels=LABELS, **parameters):
    return {"reader": "idx", "test": {"images": images, "labels": labels}, **parameters}


def cifar(content):
    return {"reader": "cifar_binary", "test": content}


def pictures(first, kind="png"):
    """An image folder of three classes, the first image of which is given."""
    return {"reader": "image_folder", "test": {f"a/1.{kind}": first, "b/1.png": made.png(8, 8), "c/1.png": made.png(8, 8)}}


# name: (entry of `data:` with bytes in place of files, kind, pieces)
IMAGES = {
    "idx_that_is_empty": (pair(images=b""), "data", ["images", "two zero bytes"]),
    "idx_that_is_a_picture": (pair(images=made.png(8, 8)), "data", ["images", "two zero bytes"]),
    "idx_of_floats": (pair(images=made.idx([4, 8, 8], kind=0x0D)), "data", ["images", "0x0d", "0x08"]),
    "idx_of_255_dimensions": (pair(images=made.idx([4, 8, 8], dimensions=255)), "data", ["images", "255 dimensions", "1 to 4"]),
    "idx_whose_header_is_cut_off": (pair(images=made.idx([4, 8, 8])[:9]), "data", ["images", "cut off"]),
    "idx_that_claims_2_to_the_96_bytes": (pair(images=made.idx([0xFFFFFFFF] * 3, data=bytes(100))), "data",
                                          ["images", "dimension 0 is 4294967295"]),
    "idx_that_is_cut_off": (pair(images=PIXELS[:-7]), "data", ["images", "dimension 2 is 8", "249"]),
    "idx_with_bytes_behind_its_end": (pair(images=PIXELS + bytes(9)), "data", ["images", "256", "265"]),
    "idx_with_a_label_too_few": (pair(labels=made.idx([3])), "data", ["labels", "3 labels for the 4 images"]),
    "idx_with_a_label_out_of_range": (pair(labels=made.idx([4], bytes([0, 1, 9, 0])), classes=3), "data", ["labels", "record 2", "9", "0 to 2"]),
    "idx_of_images_in_place_of_labels": (pair(labels=PIXELS), "data", ["labels", "1 dimension, not 3"]),
    "gzip_that_is_cut_off": (pair(images=made.zipped(PIXELS)[:-12]), "data", ["images", "cut off"]),
    "gzip_that_is_damaged": (pair(images=made.zipped(PIXELS)[:12] + b"\xa5" * 20), "data", ["images", "damaged"]),
    "gzip_that_holds_a_sea_of_zeros": (pair(images=made.zipped(bytes(300 << 20))), "data", ["images"]),
    "images_of_another_size": (pair(images=made.idx([4, 9, 8])), None, ["8", "9"]),
    "images_of_no_pixel": (pair(images=made.idx([4, 0, 8])), "data", ["images", "0 bytes of data"]),
    "cifar_records_that_are_cut_off": (cifar(bytes(3073 * 2 - 5)), "data", ["test.bin", "6141", "3073"]),
    "cifar_label_of_ten": (cifar(bytes(3073) + b"\x0a" + bytes(3072)), "data", ["test.bin", "record 1", "10", "0 to 9"]),
    "cifar_that_is_empty": (cifar(b""), "data", ["test.bin", "3073"]),
    "a_picture_that_is_text": (pictures(b"hello"), "data", ["a/1.png", "neither a JPEG nor a PNG"]),
    "a_picture_that_is_cut_off": (pictures(made.png(8, 8)[:-14]), "data", ["a/1.png", "PNG"]),
    "a_picture_of_a_billion_pixels": (pictures(made.png(60000, 60000, b"\0")), "data", ["a/1.png", "60000 x 60000"]),
    "a_picture_of_no_colour_type": (pictures(made.png(8, 8)[:25] + b"\x05" + made.png(8, 8)[26:]), "data", ["a/1.png", "PNG"]),
    "a_picture_of_a_header_alone": (pictures(made.png(8, 8)[:33]), "data", ["a/1.png", "PNG"]),
    "a_picture_that_is_a_strip": ({**pictures(made.png(2, 700)), "preprocess": "deit_875"}, "data", ["a/1.png", "2 x 700", "100 times"]),
    "a_jpeg_that_is_cut_off": (pictures(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "jpg"), "data", ["a/1.jpg", "JPEG"]),
}
# Files below the root of an image folder that a plan refuses. The network has 3 outputs.
GOOD = made.png(8, 8)
THREE = {"train/a/1.png": GOOD, "train/b/1.png": GOOD, "train/c/1.png": GOOD}
FOLDERS = {
    "classes_without_pictures": ({"test/a/readme.txt": b"x", "test/b/x": b"", "test/c/x": b""}, "", ["test'", ".png"]),
    "a_folder_without_classes": ({"test/1.png": GOOD}, "", ["test'", "folder of a class"]),
    "no_folder_of_the_split": (THREE, "", ["no folder test or val", "ROOT/test/CLASS"]),
    "a_class_that_training_lacks": ({**THREE, "test/d/1.png": GOOD}, "", ["folder 'd' is none of the 3 classes"]),
    "fewer_classes_than_outputs": ({"test/a/1.png": GOOD, "test/b/1.png": GOOD}, "", ["2 classes", "3 outputs", "classes: FILE"]),
    "more_classes_than_outputs": ({**THREE, "train/d/1.png": GOOD, "test/a/1.png": GOOD}, "", ["4 classes", "3 outputs"]),
    "numbers_as_names": ({"test/1/1.png": GOOD, "test/2/1.png": GOOD, "test/10/1.png": GOOD}, "", ["1, 10, 2", "class_order: natural"]),
    "pictures_that_are_not_read": ({**THREE, "test/a/1.webp": b"x", "test/a/2.png": GOOD}, "", ["1 image", "a/1.webp"]),
    "a_class_list_that_is_not_there": ({**THREE, "test/a/1.png": GOOD}, "classes: no.txt", ["no class list", "no.txt"]),
    "a_class_list_that_repeats": ({**THREE, "test/a/1.png": GOOD, "list.txt": b"a\nb\na\n"}, "classes: list.txt", ["line 3", "repeats"]),
    "images_of_two_sizes": ({**THREE, "test/a/1.png": GOOD, "test/a/2.png": made.png(9, 8)}, "", ["a/2.png", "9 x 8", "8 x 8"]),
    "a_size_that_the_network_does_not_take": ({**THREE, "test/a/1.png": GOOD}, "preprocess: deit_875", ["224 x 224", "8 x 8"]),
    "timm_without_a_pretrained_cfg": ({**THREE, "test/a/1.png": GOOD}, "preprocess: timm", ["pretrained_cfg", "vit_900"]),
    "a_preprocessing_that_is_not_known": ({**THREE, "test/a/1.png": GOOD}, "preprocess: tim", ['"tim"', "did you mean 'timm'"]),
    "an_order_that_is_not_known": ({**THREE, "test/a/1.png": GOOD}, "class_order: size", ['"size"', "natural"]),
}
TEXTS = {
    "a_text_that_is_no_utf8": ({"reader": "text", "test": b"good words\nbad \xff\xfe words\n"}, "data", ["test.bin", "UTF-8"]),
    "a_text_that_is_empty": ({"reader": "text", "test": b""}, "data", ["no text"]),
    "a_text_shorter_than_a_window": ({"reader": "text", "test": b"a"}, None, ["1"]),
    "a_text_with_a_separator_and_joined_rows": ({"reader": "text", "join": "wikitext", "separator": "END", "test": b"good words\n" * 40},
                                                "config", ["separator", "END", "wikitext", "join: file"]),
    "a_text_in_a_damaged_gzip": ({"reader": "text", "test": b"\x1f\x8b\x08" + b"\xa5" * 40}, "data", ["test.bin", "damaged"]),
}


class ImageFolders(MalformedCase):
    """Image folders whose class numbers or images a plan cannot vouch for: exit 2, one message, nothing runs."""

    def test_what_a_plan_refuses(self):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        _, weights, config, _ = vit(made.vit_tensors(channels=3), made.vit_configuration(3, 8, 4, 3))
        for name, (files, setting, pieces) in FOLDERS.items():
            with self.subTest(name):
                root = self.folder / name
                for file, content in {**files, "m/model.safetensors": weights, "m/config.json": json.dumps(config).encode()}.items():
                    (root / file).parent.mkdir(parents=True, exist_ok=True)
                    (root / file).write_bytes(content)
                (root / "sweep.yaml").write_text(
                    f"assay: 1\nmodels: {{m: {{family: vit, weights: m, data: d}}}}\ndata: {{d: {{reader: image_folder, root: ., {setting}}}}}\n"
                    "trials: [{model: m, method: float}]\nevaluate: [{metric: top1}]\n")
                self.assert_refused(self.assay("plan", root / "sweep.yaml"), pieces)

    def plan_of(self, name, files, model, data, metric="{metric: top1}"):
        root = self.folder / name
        for file, content in files.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_bytes(content)
        (root / "sweep.yaml").write_text(f"assay: 1\nmodels: {{m: {model}}}\ndata: {{d: {data}}}\n"
                                         f"trials: [{{model: m, method: float}}]\nevaluate: [{metric}]\n")
        return self.assay("plan", root / "sweep.yaml")

    def test_classes_of_a_split_with_a_name_of_its_own(self):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        _, weights, config, _ = vit(made.vit_tensors(channels=3), made.vit_configuration(3, 8, 4, 3))
        files = {f"pictures/{name}/1.png": GOOD for name in ("a", "b", "c")}
        files |= {"m/model.safetensors": weights, "m/config.json": json.dumps(config).encode()}
        named = "reader: image_folder, splits: [dev], dev: pictures"
        of_dev = "{metric: top1, split: dev}"
        model = "{family: vit, weights: m, data: d}"
        planned = self.plan_of("whole", files, model, f"{{{named}}}", of_dev)
        self.assertEqual(planned.code, 0, planned.err)
        beside = self.plan_of("beside", {**files, "flat/1.png": GOOD}, model,
                              "{reader: image_folder, splits: [aside, dev], aside: flat, dev: pictures}", of_dev)
        self.assertEqual(beside.code, 0, beside.err)
        self.assert_refused(self.plan_of("no_list", files, model, f"{{{named}, classes: no.txt}}", of_dev), ["no class list", "no.txt"])
        files["pictures/d/1.png"] = GOOD
        self.assert_refused(self.plan_of("too_many", files, model, f"{{{named}}}", of_dev), ["4 classes", "3 outputs"])

    def test_fewer_classes_than_a_network_whose_configuration_does_not_say_has(self):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        _, weights, _, _ = vit()
        files = {"test/a/1.png": GOOD, "test/b/1.png": GOOD, "m/model.safetensors": weights,
                 "m/config.json": b'{"architecture": "deit_tiny_patch16_224"}'}
        refused = self.plan_of("fewer", files, "{family: vit, weights: m, data: d}", "{reader: image_folder, root: .}")
        self.assertEqual(refused.code, 2, refused.err)  # among other mistakes: the tensors are another network's
        self.assertIn("the data set has 2 classes, the network 1000 outputs; name the class of every output in a file", refused.err)


# name: (entry of `trials:`, entry of `evaluate:`, pieces). Networks: `pictures` (3 classes of 8 x 8, 4 training images), `words`
# (trained, 16 positions, bytes, no beginning-of-text id) and `letter`, of 32 positions, with a text of one character.
SETTINGS = {
    "more_calibration_images_than_there_are": ("{model: pictures, method: {rtn: {samples: 5}}, bits: W4A8}", "{metric: top1}",
                                               ["samples: 5", "1 to 4"]),
    "a_batch_larger_than_the_training_data": ("{model: pictures, method: {train: {batch: 5}}}", "{metric: top1}", ["batch of 5", "4 training"]),
    "no_training_step": ("{model: pictures, method: {train: {batch: 2, epochs: 0}}}", "{metric: top1}", ["0 epochs", "`epochs`", "`steps`"]),
    "a_text_batch_larger_than_the_text": ("{model: words, method: {train: {batch: 4096, steps: 2}}}", "{metric: perplexity}",
                                          ["batch of 4096", "training samples"]),
    "a_window_of_one_token": ("{model: words, method: {train: {batch: 2, steps: 2}}}", "{metric: perplexity, context: 1}", ["context: 1", "at least 2"]),
    "a_stride_beyond_the_window": ("{model: words, method: {train: {batch: 2, steps: 2}}}", "{metric: perplexity, context: 8, stride: 9}", ["stride: 9", "0 to 8"]),
    "a_stride_beyond_the_networks_own_window": ("{model: words, method: {train: {batch: 2, steps: 2}}}", "{metric: perplexity, stride: 17}", ["stride: 17", "0 to 16"]),
    "a_stride_over_documents": ("{model: words, method: {train: {batch: 2, steps: 2}}}", "{metric: perplexity, context: 8, stride: 4, windows: documents}",
                                ["stride: 4", "windows: stream"]),
    "a_beginning_that_the_tokenizer_lacks": ("{model: words, method: {train: {batch: 2, steps: 2}}}", "{metric: perplexity, bos: every_window}",
                                             ["bos: every_window", "bos: none"]),
    "a_text_of_one_character": ("{model: letter, method: float}", "{metric: perplexity}", ["at most", "one window of 32"]),
    "no_batch_size": ("{model: pictures, method: float}", "{metric: latency, batch: []}", ["batch: []", "1 to 65536"]),
    "activation_bits_that_no_step_rounds": ("{model: words, method: {train + gptq: {batch: 2, steps: 2, samples: 2}}, bits: W4A8}",
                                            "{metric: perplexity}", ["gptq quantizes weights only", "a_bits = 8"]),
    "activation_bits_that_the_step_before_gptq_leaves_alone": ("{model: pictures, method: {rtn + gptq: {quantize: weights, samples: 2}}, bits: W8A8}",
                                                               "{metric: top1}", ["no method before it rounds activations", "W8A16"]),
    "activation_bits_that_are_rounded_behind_gptq": ("{model: pictures, method: {gptq + rtn: {quantize: activations, samples: 2}}, bits: W16A8}",
                                                     "{metric: top1}", ["no method before it rounds activations", "let rtn round them first"]),
    "activation_bits_that_nothing_uses": ("{model: pictures, method: {rtn: {quantize: weights}}, bits: W4A4}", "{metric: top1}",
                                          ["a_bits is 4", "rounds activations", "W4A16"]),
    "weight_bits_that_nothing_uses": ("{model: pictures, method: {rtn: {quantize: activations, samples: 2}}, bits: W4A8}", "{metric: top1}",
                                      ["w_bits is 4", "rounds weights", "W16A8"]),
    "images_by_gradients_through_rounded_activations": ("{model: pictures, method: {rtn + psaq_vit: {samples: 2}}, bits: W8A8}", "{metric: top1}",
                                                        ["psaq_vit", "put psaq_vit before"]),
}


class RefusedSettings(MalformedCase):
    """Parameters that no method or metric can honour on the models and data at hand: exit 2, one message with its place, nothing runs."""

    def test_what_a_plan_refuses(self):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        _, weights, config, _ = vit()
        files = {"p/model.safetensors": weights, "p/config.json": json.dumps(config).encode(), "images": PIXELS, "labels": LABELS,
                 "words.txt": b"words and more words, one after the other, until there are enough of them\n" * 20}
        for file, content in files.items():
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(content)
        head = ("assay: 1\nmodels:\n  pictures: {family: vit, weights: p, data: d}\n"
                "  words: {family: llama, config: {vocab_size: 256, hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, "
                "num_attention_heads: 2, max_position_embeddings: 16}, data: t}\n"
                "  letter: {family: opt, weights: o, data: one}\n"
                "data:\n  d: {reader: idx, train: {images: images, labels: labels}, test: {images: images, labels: labels}}\n"
                "  t: {reader: text, train: words.txt, test: words.txt}\n  one: {reader: text, test: words.txt, max_characters: 1}\n")
        _, weights, config, more = opt()
        for file, content in {"o/model.safetensors": weights, "o/config.json": json.dumps(config).encode(),
                              **{f"o/{name}": content for name, content in more.items()}}.items():
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_bytes(content)
        for name, (trial, metric, pieces) in SETTINGS.items():
            with self.subTest(name):
                sweep = self.write("sweep.yaml", f"{head}trials: [{trial}]\nevaluate: [{metric}]\n")
                ended = self.assay("plan", sweep)
                self.assert_refused(ended, pieces)
                self.assertRegex(ended.err, r"sweep\.yaml:\d+:\d+: ")


# What only the whole content of a file shows, or a run of the network. The rest is refused by `assay plan`.
ONLY_WHEN_READ = {"a_tensor_of_not_a_number", "a_picture_that_is_cut_off", "cifar_label_of_ten"}

# Images that only their content makes unfit need a network that takes their size: (channels, size, patch, classes).
FITTING = {"a_picture_that_is_cut_off": (3, 8, 4, 3), "cifar_label_of_ten": (3, 32, 16, 10)}

METRICS = {"vit": "{metric: top1}", "opt": "{metric: perplexity, context: 16}"}


class FilesOfASweep:
    """Beside MalformedCase: every broken checkpoint and data set is a model of its own in one sweep."""

    @classmethod
    def make(cls, wanted):
        cls.models, cls.data, cls.trials, cls.families = [], [], [], set()
        cls.put("data/words.txt", b"words and more words, one after the other, until there are enough of them\n" * 20)
        cls.put("data/good_images", PIXELS)
        cls.put("data/good_labels", LABELS)
        cls.data += ["good_images: {reader: idx, test: {images: data/good_images, labels: data/good_labels}}",
                     "good_words: {reader: text, test: data/words.txt}"]
        for name, ((family, weights, config, more), _, _) in CHECKPOINTS.items():
            if wanted(name):
                cls.add_model(name, family, weights, config, more, "good_images" if family == "vit" else "good_words")
        for name, (entry_of_data, _, _) in {**IMAGES, **TEXTS}.items():
            if wanted(name):
                shape = FITTING.get(name, (1, 8, 4, 3))
                family, weights, config, more = vit(made.vit_tensors(*shape), made.vit_configuration(*shape)) if name in IMAGES else opt()
                cls.add_data(name, entry_of_data)
                cls.add_model(name, family, weights, config, more, name)
        return ("assay: 1\nmodels:\n" + "".join(f"  {line}\n" for line in cls.models) + "data:\n" +
                "".join(f"  {line}\n" for line in cls.data) + f"trials: [{{model: [{', '.join(cls.trials)}], method: float}}]\n"
                f"evaluate: [{', '.join(METRICS[family] for family in sorted(cls.families))}]\n"
                "run: {retries: 0, max_failures: none, stall_timeout: 2m}\n")

    @classmethod
    def put(cls, name, content):
        path = cls.common / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @classmethod
    def add_model(cls, name, family, weights, config, more, data):
        cls.put(f"models/{name}/model.safetensors", weights)
        cls.put(f"models/{name}/config.json", json.dumps(config).encode())
        for file, content in more.items():
            cls.put(f"models/{name}/{file}", content)
        cls.models.append(f"{name}: {{family: {family}, weights: models/{name}, data: {data}}}")
        cls.trials.append(name)
        cls.families.add(family)

    @classmethod
    def add_data(cls, name, description):
        settings = ["reader: " + description["reader"]] + [f"{k}: {v}" for k, v in description.items() if k not in ("reader", "test")]
        files = description["test"]
        if description["reader"] == "image_folder":
            for file, content in files.items():
                cls.put(f"data/{name}/test/{file}", content)
            settings.append(f"root: data/{name}")
        elif isinstance(files, dict):
            for role, content in files.items():
                cls.put(f"data/{name}/{role}", content)
            settings.append("test: {" + ", ".join(f"{role}: data/{name}/{role}" for role in files) + "}")
        else:
            cls.put(f"data/{name}/test.bin", files)
            settings.append(f"test: data/{name}/test.bin")
        cls.data.append(f"{name}: {{{', '.join(settings)}}}")


class RefusedFiles(FilesOfASweep, MalformedCase):
    """One `assay plan` names every broken file at once, each with the place of its entry in the sweep."""

    @classmethod
    def setUpClass(cls):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        super().setUpClass()
        text = cls.make(lambda name: name not in ONLY_WHEN_READ)
        (cls.common / "sweep.yaml").write_text(text)
        cls.ended = cls.assay("plan", cls.common / "sweep.yaml", folder=cls.common)
        cls.mistakes = cls.ended.err.splitlines()

    def assert_named(self, name, pieces):
        """In one line: the place of the entry, the name of the model or the data set, and the pieces."""
        found = [line for line in self.mistakes if f"'{name}'" in line]
        self.assertTrue(found, self.ended.err)
        self.assertTrue(any(all(piece in line for piece in pieces) for line in found), f"{pieces} in none of {found}")
        for line in found:
            self.assertRegex(line, r"sweep\.yaml:\d+:\d+: ")
            self.assertNotIn("json.exception", line)
            self.assertNotIn("basic_string", line)

    def test_the_sweep_is_refused_before_it_runs(self):
        self.assertEqual(self.ended.code, 2, self.ended.err)
        self.assertEqual(self.ended.out, "")
        self.assertFalse((self.common / "runs").exists())

    def test_run_refuses_it_in_the_same_words(self):
        ended = self.assay("run", self.common / "sweep.yaml", folder=self.common)
        self.assertEqual(ended.code, 2)
        self.assertEqual(ended.err, self.ended.err)
        self.assertFalse((self.common / "runs").exists())

    def test_no_mistake_is_told_twice(self):
        self.assertEqual(len(self.mistakes), len(set(self.mistakes)))


class BrokenFiles(FilesOfASweep, FailedTrials, MalformedCase):
    """What no look at headers shows fails in the run, in one or two executors."""

    @classmethod
    def setUpClass(cls):
        if not options.exec:
            raise unittest.SkipTest("no assay-exec in this build")
        super().setUpClass()
        cls.run_once(cls.make(lambda name: name in ONLY_WHEN_READ))

    def test_every_trial_has_failed(self):
        done = self.rows("SELECT t.model FROM trial_state s JOIN trial t ON t.id = s.trial WHERE s.state = 'done'")
        self.assertEqual(done, [])

    def test_no_executor_has_crashed(self):
        self.assertEqual(self.rows("SELECT message FROM attempt WHERE outcome IN ('crash', 'timeout', 'oom')"), [])


for row, (_, kind, pieces) in {**CHECKPOINTS, **IMAGES, **TEXTS}.items():
    if row in ONLY_WHEN_READ:
        case(BrokenFiles, row, lambda self, row=row, kind=kind, pieces=pieces: self.assert_failed("t.model", row, kind, pieces))
    else:
        case(RefusedFiles, row, lambda self, row=row, pieces=pieces: self.assert_named(row, pieces))


def main():
    global options
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assay", default="build/dev/bin/assay")
    parser.add_argument("--provider", help="not used: for the same command line as the other tests")
    parser.add_argument("--exec", default="", help="assay-exec; without it the cases of its readers are skipped")
    parser.add_argument("--sanitized", action="store_true", help="built with sanitizers: more time, no bound on memory")
    options, rest = parser.parse_known_args()
    began = time.monotonic()
    program = unittest.main(argv=[sys.argv[0], *rest], exit=False)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    print(f"{program.result.testsRun} cases, {len(program.result.skipped)} skipped, {time.monotonic() - began:.1f} s, "
          f"largest process {peak >> 20} MiB", file=sys.stderr)
    if not options.sanitized and peak > LARGEST_BYTES:
        print(f"a process grew beyond {LARGEST_BYTES >> 20} MiB", file=sys.stderr)
        return 1
    return 0 if program.result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
