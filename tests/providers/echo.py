#!/usr/bin/env python3
"""A provider in plain Python: proves that any executable can join, and misbehaves on request.

Speaks the executor protocol (docs/formats/protocol.md) with nothing but the standard library. What it offers stands in
echo_catalogue.json beside it; echo_provider.cpp offers the same.
"""
import errno
import json
import os
import select
import socket
import struct
import sys
import sysconfig
import time

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "echo-py"
CATALOGUE = os.path.join(HERE, "echo_catalogue.json")


def files_of_program():
    """The files behind all modules that are loaded: whoever edits one of them has another provider. Python's own library is
    left out; its version stands for it (`numerics`, if the figures depend on it)."""
    paths = sysconfig.get_paths()
    own = [os.path.join(paths[name], "") for name in ("stdlib", "platstdlib")]
    installed = [os.path.join(paths[name], "") for name in ("purelib", "platlib")]
    files = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if not path:
            continue  # built in
        path = os.path.abspath(path)
        while not os.path.isfile(path) and path != "/":
            path = os.path.dirname(path)  # a member of a zip archive
        if any(path.startswith(folder) for folder in own) and not any(path.startswith(folder) for folder in installed):
            continue
        files.add(path)
    return files


class Failure(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Wire:
    """JSON lines on the descriptor that ASSAY_FD names."""

    def __init__(self):
        self.socket = socket.socket(fileno=int(os.environ["ASSAY_FD"]))
        self.buffer = b""

    def send(self, **message):
        self.raw((json.dumps(message) + "\n").encode())

    def raw(self, data):
        self.socket.sendall(data)

    def receive(self, wait=True):
        """The next message; None if there is none yet (wait=False). Ends the program at end of file."""
        while b"\n" not in self.buffer:
            if not wait and not select.select([self.socket], [], [], 0)[0]:
                return None
            data = self.socket.recv(65536)
            if not data:
                sys.exit(0)
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)


class Stage:
    """One run: its message and what it may tell the supervisor."""

    def __init__(self, wire, run):
        self.wire = wire
        self.run = run
        self.parameters = run["recipe"].get("parameters", {})
        self.seed = run["recipe"].get("seed", 0)
        self.told = 0.0

    def parameter(self, name, default):
        return self.parameters.get(name, default)

    def tell(self, kind, /, **fields):  # a failure has a field of that name
        self.wire.send(type=kind, attempt=self.run["attempt"], **fields)

    def progress(self, done, total, unit):
        if time.monotonic() - self.told >= 0.5:  # at most two a second
            self.told = time.monotonic()
            self.tell("progress", done=done, total=total, unit=unit)

    def stop_requested(self):
        message = self.wire.receive(wait=False)
        return message is not None and message["type"] == "stop" and message["attempt"] == self.run["attempt"]

    def metrics(self, **more):
        return {"metrics": {"echo_value": self.parameter("value", 0), "echo_seed": self.seed, **more}}

    def attempts_before(self):
        """Counts the executions of this stage, over crashes, by a file in resume_dir."""
        os.makedirs(self.run["resume_dir"], exist_ok=True)
        path = os.path.join(self.run["resume_dir"], "attempts")
        before = os.path.getsize(path) if os.path.exists(path) else 0
        with open(path, "ab") as file:
            file.write(b".")
        return before


def recovered(stage):
    after = stage.parameter("recovers_after", 0)
    return after > 0 and stage.attempts_before() >= after


def value(stage):
    return stage.metrics()


def sleep(stage):
    start = time.monotonic()
    seconds = stage.parameter("seconds", 0.1)
    while (passed := time.monotonic() - start) < seconds:
        if stage.stop_requested():
            raise Failure("lost", "stopped as asked")
        stage.progress(int(passed * 1000), int(seconds * 1000), "ms")
        time.sleep(min(0.02, seconds - passed))
    return stage.metrics()


def fail(stage):
    if recovered(stage):
        return stage.metrics()
    raise Failure(stage.parameter("kind", "method"), stage.parameter("message", "it was asked to fail"))


def crash(stage):
    if recovered(stage):
        return stage.metrics()
    print("about to abort", flush=True)
    os.abort()


def hang(stage):
    while True:
        time.sleep(60)


def noise(stage):
    line = "noise " * 16 + "\n"
    count = stage.parameter("bytes", 1000)
    for stream in (sys.stdout, sys.stderr):
        stream.write((line * (count // len(line) + 1))[:count])
        stream.flush()
    return stage.metrics()


def write_safetensors(path, name, values):
    header = json.dumps({name: {"dtype": "F64", "shape": [len(values)], "data_offsets": [0, 8 * len(values)]}}).encode()
    header += b" " * (-(8 + len(header)) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header + struct.pack(f"<{len(values)}d", *values))


def file(stage):
    output = stage.run["output"]
    os.makedirs(output)
    samples = [stage.parameter("value", 0) + stage.seed + i for i in range(stage.parameter("samples", 10))]
    write_safetensors(os.path.join(output, "samples.safetensors"), "value", samples)
    with open(os.path.join(output, "note.txt"), "w", encoding="utf-8") as note:
        note.write(f"value {stage.parameter('value', 0)} seed {stage.seed}\n")
    return stage.metrics()


def long(stage):
    folder = stage.run["resume_dir"]
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "checkpoint.json")
    step = 0
    if os.path.exists(path):
        with open(path, encoding="utf-8") as checkpoint:
            step = json.load(checkpoint)["step"]
    steps = stage.parameter("steps", 20)
    executed = 0
    while step < steps:
        if stage.stop_requested():
            raise Failure("lost", f"stopped as asked after step {step}")
        time.sleep(stage.parameter("step_s", 0.05))
        step += 1
        executed += 1
        with open(path + ".new", "w", encoding="utf-8") as checkpoint:
            json.dump({"step": step}, checkpoint)
        os.replace(path + ".new", path)
        stage.tell("checkpoint", step=step)
        stage.progress(step, steps, "steps")
    return {**stage.metrics(echo_steps=step), "cost": {"executed_steps": executed}}


def garbage(stage):
    attempt = stage.run["attempt"]
    how = stage.parameter("how", "not_json")
    if how == "not_json":
        stage.wire.raw(b"Traceback (most recent call last):\n")
    elif how == "binary":
        stage.wire.raw(bytes(range(256)) * 4 + b"\n")
    elif how == "invalid_utf8":
        stage.wire.raw(b'{"type": "\xff\xfe"}\n')
    elif how == "unknown_type":
        stage.tell("dnoe")
    elif how == "wrong_type":
        stage.tell("progress", done="half", total=1, unit="")
    elif how == "missing_field":
        stage.tell("metric", name="x")
    elif how == "too_long":
        stage.tell("done", result={"note": "x" * 70000})
    elif how == "endless_line":
        stage.wire.raw(b"x" * 1100000)
    elif how == "downward":
        stage.wire.send(type="stop", attempt=attempt, grace_s=1)
    elif how == "nan_result":
        return {"metrics": {"echo_value": float("nan")}}  # json.dumps writes NaN, which is no JSON
    elif how == "bad_result":
        return {"metrics": {"echo_value": "many"}}
    elif how == "closed":
        stage.wire.socket.close()
    time.sleep(60)
    return stage.metrics()


def metrics_of(path):
    """The metrics of an input's artifact."""
    if os.path.isdir(path):
        path = os.path.join(path, "result.json")
    with open(path, encoding="utf-8") as result:
        return json.load(result)["metrics"]


def measure(stage):
    path = stage.run["inputs"].get("network", "")
    if not path:
        return stage.metrics()
    metrics = metrics_of(path)
    return {"metrics": {"echo_value": metrics["echo_value"], "echo_seed": metrics["echo_seed"]}}


def part(stage):
    """One of so many equal parts of the value."""
    _, parts = stage.run["recipe"]["shard"]
    path = stage.run["inputs"].get("network", "")
    value = metrics_of(path)["echo_value"] if path else 0
    return {"metrics": {"echo_part": value / parts}}


def total(stage):
    parts = [metrics_of(path)["echo_part"] for name, path in sorted(stage.run["inputs"].items())
             if name.startswith("shard.")]
    return {"metrics": {"echo_sum": sum(parts)}}


def time_it(stage):
    start = time.perf_counter()
    for _ in range(1000):
        pass
    return {"metrics": {"echo_ms": (time.perf_counter() - start) * 1e3}}


BODIES = {"echo.value": value, "echo.sleep": sleep, "echo.fail": fail, "echo.crash": crash, "echo.hang": hang,
          "echo.noise": noise, "echo.file": file, "echo.long": long, "echo.garbage": garbage, "echo.measure": measure,
          "echo.part": part, "echo.sum": total, "echo.time": time_it}


def execute(wire, run, described):
    stage = Stage(wire, run)
    try:
        if run["stage"] not in BODIES:
            raise Failure("unsupported", f"no stage '{run['stage']}' here")
        result = BODIES[run["stage"]](stage)
        late = sorted(files_of_program() - described)
        if late:
            raise Failure("config", f"the stage imported {late[0]}, which is in no key: import it at the top of the program")
        stage.tell("done", result=result)
    except Failure as failure:
        stage.tell("failed", kind=failure.kind, message=str(failure), context={})
    except OSError as problem:
        kind = "io" if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else "method"
        stage.tell("failed", kind=kind, message=f"{type(problem).__name__}: {problem}", context={})
    except Exception as problem:  # a fault of the body is a failure of the stage, not of the executor
        stage.tell("failed", kind="method", message=f"{type(problem).__name__}: {problem}", context={})


def inspect(questions):
    """What would fail if the stages of the questions ran."""
    answers = []
    for question in questions:
        value = question.get("recipe", {}).get("parameters", {}).get("value", 0)
        refusals = []
        if question["provider"] == NAME and value > 1e6:
            refusals.append({"about": "method", "kind": "method", "field": "value", "value": str(value),
                             "message": f"value = {value}: echoes are at most 1e6; lower it"})
        answers.append({"refusals": refusals, "facts": {}})
    return answers


def main():
    described = files_of_program() | {CATALOGUE}
    preparation_s = os.environ.get("ECHO_PREPARE_S")  # stands for imports that take a while
    wire = Wire()
    wire.send(type="hello", protocol=1, provider=NAME, pid=os.getpid(), prepares=preparation_s is not None)
    while True:
        message = wire.receive()
        if message["type"] == "exit":
            return
        if message["type"] == "describe":
            with open(CATALOGUE, encoding="utf-8") as source:
                catalogue = {"provider": NAME, "inspects": True, "files": sorted(described), **json.load(source)}
            with open(message["path"], "w", encoding="utf-8") as target:
                json.dump(catalogue, target)
            wire.send(type="described", path=message["path"])
        elif message["type"] == "prepare":
            time.sleep(float(preparation_s))
            wire.send(type="prepared")
        elif message["type"] == "inspect":
            with open(message["path"], encoding="utf-8") as source:
                answers = inspect(json.load(source)["questions"])
            with open(message["answer"], "w", encoding="utf-8") as target:
                json.dump({"answers": answers}, target)
            wire.send(type="inspected", path=message["answer"])
        elif message["type"] == "run":
            execute(wire, message, described)


if __name__ == "__main__":
    main()
