#!/usr/bin/env python3
"""A provider for malformed_test.py: offers small methods, readers and a metric, and breaks its promises on request.

    malformed_provider.py [MODE]      MODE breaks hello or the catalogue; the method `broken` breaks runs.
"""
import json
import os
import socket
import sys
import time

HOWS = ["ends_the_process", "text_instead_of_json", "bytes_instead_of_json", "invalid_utf8", "a_list", "deeply_nested", "no_type",
        "unknown_type", "wrong_type_of_field", "missing_field", "fractional_step", "too_long", "line_without_end", "downward",
        "metric_is_text", "metric_is_nan", "unknown_failure_kind", "another_attempt", "closes_the_socket", "result_is_a_number",
        "output_with_result_json", "output_with_a_link", "output_is_a_file", "huge_integer", "empty_line", "done_without_metrics"]


def parameter(name, kind, default, **more):
    return {"name": name, "type": kind, "default": default, "doc": name, **more}


CATALOGUE = {
    "provider": "toy", "version": "1", "numerics": {},
    "stages": [
        {"name": "toy.network", "reads": ["range", "group", "w_bits", "a_bits"], "reads_model": True},
        {"name": "toy.broken", "reads": ["how"], "random": "seed"},
        {"name": "toy.score", "reads": ["limit"], "reads_network": True},
        {"name": "toy.read", "reads": [], "reads_data": True},
        {"name": "toy.images", "reads": ["limit"], "reads_network": True, "reads_data": True},
        {"name": "toy.words", "reads": ["limit"], "reads_network": True, "reads_data": True, "reads_tokenizer": True}],
    "methods": [
        {"name": "plain", "title": "The model as it is", "calibration": "none", "traits": ["float", "deterministic"]},
        {"name": "round", "title": "Rounds", "families": ["toy", "toy_text"], "reads_bits": True, "calibration": "none",
         "traits": ["deterministic"], "switches": ["clip"], "network": "toy.network",
         "parameters": [parameter("range", "string", "minmax", choices=["minmax", "mse"]),
                        parameter("group", "integer", 128, minimum=1, maximum=4096), parameter("clip", "bool", True)]},
        {"name": "broken", "title": "Breaks the protocol", "families": ["toy"], "calibration": "none", "traits": [],
         "network": "toy.broken", "parameters": [parameter("how", "string", HOWS[0], choices=HOWS)]}],
    "metrics": [
        {"name": "score", "title": "A constant", "stage": "toy.score", "parameters": [parameter("limit", "integer", 0, minimum=0)],
         "values": [{"name": "score", "unit": "", "higher_is_better": True, "primary": True}]},
        {"name": "images", "title": "Reads images", "task": "classification", "stage": "toy.images",
         "parameters": [parameter("limit", "integer", 0, minimum=0)],
         "values": [{"name": "images", "unit": "", "higher_is_better": True, "primary": True}]},
        {"name": "words", "title": "Reads words", "task": "language", "stage": "toy.words",
         "parameters": [parameter("limit", "integer", 0, minimum=0)],
         "values": [{"name": "words", "unit": "", "higher_is_better": True, "primary": True}]}],
    "families": [
        {"name": "toy", "title": "A network", "task": "classification", "configuration": [parameter("width", "integer", None, minimum=1)]},
        {"name": "toy_text", "title": "A language model", "task": "language", "configuration": [parameter("width", "integer", 1)]}],
    "readers": [
        {"name": "pairs", "title": "Images and labels", "task": "classification", "roles": ["images", "labels"]},
        {"name": "folders", "title": "A folder a class", "task": "classification", "folder": True},
        {"name": "lines", "title": "Text files", "task": "language", "parameters": [parameter("join", "string", "file", choices=["file", "lines"])]},
        {"name": "shipped", "title": "Files at a known place", "task": "classification", "roots": ["/nowhere/shipped"],
         "files": {"test": [{"role": "images", "path": "test.bin"}]}}]}


class Wire:
    def __init__(self):
        self.socket = socket.socket(fileno=int(os.environ["ASSAY_FD"]))
        self.buffer = b""

    def raw(self, data):
        self.socket.sendall(data)

    def send(self, **message):
        self.raw(json.dumps(message).encode() + b"\n")

    def receive(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(65536)
            if not data:
                sys.exit(0)
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


def linger():
    time.sleep(60)


def catalogue(mode):
    text = json.dumps(CATALOGUE)
    changed = json.loads(text)
    if mode == "catalogue_not_json":
        return text[:len(text) // 2]
    if mode == "catalogue_is_a_list":
        return "[1, 2]"
    if mode == "catalogue_empty":
        return ""
    if mode == "catalogue_of_unknown_parameter_type":
        changed["methods"][1]["parameters"][1]["type"] = "complex"
    elif mode == "catalogue_lacks_a_name":
        del changed["methods"][1]["name"]
    elif mode == "catalogue_names_no_stage":
        changed["methods"][1]["network"] = "toy.netwrok"
    elif mode == "catalogue_of_another_name":
        changed["provider"] = "somebody"
    elif mode == "catalogue_with_stages_as_text":
        changed["stages"] = "toy.network"
    return json.dumps(changed)


def hello(wire, mode):
    if mode == "ends_at_once":
        print("ImportError: No module named torch", file=sys.stderr, flush=True)
        sys.exit(1)
    if mode == "prints_into_the_socket":
        wire.raw(b"Loading checkpoint shards: 100%\n")
        linger()
    if mode == "line_without_end":
        wire.raw(b"x" * 1100000)
        linger()
    if mode == "hello_of_a_future_version":
        wire.send(type="hello", protocol=99, provider="toy", pid=os.getpid())
        linger()
    if mode == "hello_without_provider":
        wire.send(type="hello", protocol=1, pid=os.getpid())
        linger()
    if mode == "hello_with_text_as_version":
        wire.send(type="hello", protocol="one", provider="toy", pid=os.getpid())
        linger()
    wire.send(type="hello", protocol=1, provider="toy", pid=os.getpid())


def describe(wire, mode, path):
    with open(path, "w", encoding="utf-8") as file:
        file.write(catalogue(mode))
    wire.send(type="described", path="/etc/passwd" if mode == "described_elsewhere" else path)


def misbehave(wire, run, how):
    attempt = run["attempt"]
    if how == "ends_the_process":
        sys.exit(3)
    elif how == "text_instead_of_json":
        wire.raw(b"epoch 1: loss 0.25\n")
    elif how == "bytes_instead_of_json":
        wire.raw(bytes(b for b in range(256) if b != 10) * 4 + b"\n")
    elif how == "invalid_utf8":
        wire.raw(b'{"type": "progress", "attempt": "' + attempt.encode() + b'", "done": 1, "total": 2, "unit": "\xff\xfe"}\n')
    elif how == "a_list":
        wire.raw(b'["done"]\n')
    elif how == "deeply_nested":
        wire.raw(b"[" * 20000 + b"]" * 20000 + b"\n")
    elif how == "no_type":
        wire.send(attempt=attempt, result={})
    elif how == "unknown_type":
        wire.send(type="dnoe", attempt=attempt, result={})
    elif how == "wrong_type_of_field":
        wire.send(type="progress", attempt=attempt, done="half", total=1, unit="")
    elif how == "missing_field":
        wire.send(type="metric", attempt=attempt, name="loss", step=1)
    elif how == "fractional_step":
        wire.send(type="checkpoint", attempt=attempt, step=1.5)
    elif how == "too_long":
        wire.send(type="done", attempt=attempt, result={"note": "x" * 1100000})
    elif how == "line_without_end":
        wire.raw(b"x" * 1100000)
    elif how == "downward":
        wire.send(type="run", attempt=attempt, stage="toy.broken", key="0", recipe={}, inputs={}, output="/tmp", resume_dir="/tmp")
    elif how == "metric_is_text":
        wire.send(type="done", attempt=attempt, result={"metrics": {"score": "many"}})
        return
    elif how == "metric_is_nan":
        wire.raw(b'{"type": "done", "attempt": "' + attempt.encode() + b'", "result": {"metrics": {"score": NaN}}}\n')
        return  # it costs the stage only
    elif how == "unknown_failure_kind":
        wire.send(type="failed", attempt=attempt, kind="oops", message="x", context={})
    elif how == "another_attempt":
        wire.send(type="done", attempt="f00d.7", result={})
    elif how == "closes_the_socket":
        wire.socket.close()
    elif how == "result_is_a_number":
        wire.send(type="done", attempt=attempt, result=7)
    elif how == "huge_integer":
        wire.raw(b'{"type": "checkpoint", "attempt": "' + attempt.encode() + b'", "step": 1' + b"0" * 400 + b"}\n")
    elif how == "empty_line":
        wire.raw(b"\n")
    elif how.startswith("output_"):
        output = run["output"]
        if how == "output_is_a_file":
            with open(output, "w", encoding="utf-8") as file:
                file.write("a file where a folder is meant")
        else:
            os.makedirs(output)
            if how == "output_with_result_json":
                with open(os.path.join(output, "result.json"), "w", encoding="utf-8") as file:
                    file.write("{}")
            else:
                os.symlink("/etc/passwd", os.path.join(output, "model.safetensors"))
        wire.send(type="done", attempt=attempt, result={"metrics": {}})
        return
    elif how == "done_without_metrics":
        wire.send(type="done", attempt=attempt, result={"metrics": ["score"]})
        return
    linger()


def main():
    mode = sys.argv[1] if len(sys.argv) > 1 else ""
    wire = Wire()
    hello(wire, mode)
    while True:
        message = wire.receive()
        if message["type"] == "exit":
            return
        if message["type"] == "describe":
            describe(wire, mode, message["path"])
        elif message["type"] == "run" and message["stage"] == "toy.broken":
            misbehave(wire, message, message["recipe"]["parameters"]["how"])
        elif message["type"] == "run":
            wire.send(type="done", attempt=message["attempt"], result={"metrics": {"score": 1.0}})


if __name__ == "__main__":
    main()
