"""The memory of a run's executors while it works: what each stage took at most."""
import os
import sqlite3
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path

INTERVAL_S = 0.005


def descendants(pid):
    """Ids of a process's children and theirs."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from descendants(child)


def resident(pid):
    """Bytes that are no file's, and all bytes, of a process that runs stages; None for another."""
    try:
        if Path(f"/proc/{pid}/comm").read_text().strip() != "assay-exec":
            return None
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        size = {name: int(lines[name].split()[0]) * 1024 for name in ("RssAnon", "RssFile", "RssShmem")}
        return size["RssAnon"] + size["RssShmem"], sum(size.values())
    except (OSError, KeyError):
        return None


class Sampler:
    """Samples the executors below a process every few milliseconds."""

    def __init__(self, pid):
        self.pid, self.samples, self.stopped = pid, [], threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()

    def sample(self):
        executors, seen = [], 0.0
        while not self.stopped.wait(INTERVAL_S):
            now = time.time()
            if now - seen > 0.2:
                executors, seen = [pid for pid in descendants(self.pid) if resident(pid)], now
            for pid in executors:
                if (size := resident(pid)) is not None:
                    self.samples.append((now, *size))

    def stop(self):
        self.stopped.set()
        self.thread.join()


def of_stages(command, run_folder, env):
    """Runs `assay run`; {(stage, method): {"anonymous", "resident", "peak", "seconds"}}: the most of any attempt, in bytes.

    `anonymous` and `resident` are sampled, `peak` is the kernel's own highest resident set.
    """
    with open(os.devnull, "wb") as nothing, subprocess.Popen([str(word) for word in command], stdout=nothing, env=env) as process:
        sampler = Sampler(process.pid)
        code = process.wait()
        sampler.stop()
    if code != 0:
        raise SystemExit(f"{command} ended with {code}")
    database = sqlite3.connect(f"file:{run_folder}/results.sqlite?mode=ro", uri=True)
    rows = database.execute("SELECT name, min(trial.method), started_unix_s, ended_unix_s, peak_memory_bytes FROM attempt "
                            "JOIN stage ON stage.key = attempt.stage JOIN trial_stage ON trial_stage.stage = stage.key "
                            "JOIN trial ON trial.id = trial_stage.trial WHERE outcome = 'done' GROUP BY attempt.stage, number").fetchall()
    database.close()
    use = defaultdict(lambda: {"anonymous": 0, "resident": 0, "peak": 0, "seconds": 0.0})
    for name, method, start, end, peak in rows:
        within = [(anonymous, whole) for at, anonymous, whole in sampler.samples if start <= at <= end]
        each = use[(name, method)]
        for anonymous, whole in within:
            each["anonymous"], each["resident"] = max(each["anonymous"], anonymous), max(each["resident"], whole)
        each["peak"], each["seconds"] = max(each["peak"], peak or 0), each["seconds"] + end - start
    return dict(use)
