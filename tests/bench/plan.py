#!/usr/bin/env python3
"""Time and memory of `assay plan` on grids of 10,000 and 100,000 trials, of which one metric is fanned out."""
import os
import time

import bench

# Stages of a trial: the network, the parts of one metric, their sum, and the other metric.
EVALUATIONS = {2: "{metric: echo_value}",
               4: "{metric: echo_sum, shards: 2}",
               11: "{metric: echo_sum, shards: 8}, {metric: echo_value}"}


def peak(command, **options):
    """Wall seconds, processor seconds and peak resident bytes of one command."""
    start = time.perf_counter()
    pid = os.posix_spawn(str(command[0]), [str(word) for word in command], options["env"],
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def measure(options, trials, evaluations):
    with bench.scratch() as (folder, env):
        file = folder / "grid.yaml"
        file.write_text(f"""assay: 1
name: grid
providers: [{{command: ["{options.echo}"]}}]
models: {{nothing: {{family: echo, config: {{}}}}}}
trials:
  - {{model: nothing, method: {{echo: {{value: {list(range(trials // 10))}}}, echo_sleep: {{value: {list(range(trials // 10))}, seconds: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}}}}}}
evaluate: [{evaluations}]
""")
        command = [options.assay, "plan", file]
        peak(command, env=env)  # fills the cache of catalogues
        runs = [peak(command, env=env) for _ in range(options.repeat or 5)]
    return [bench.median(column) for column in zip(*runs)]


def main():
    options = bench.arguments(__doc__)
    for stages, evaluations in EVALUATIONS.items():
        for trials in (10_000, 100_000):
            wall, processor, memory = measure(options, trials, evaluations)
            print(f"{trials:7d} trials of {stages:2d} stages: {wall:6.3f} s, {processor:6.3f} s of the processor, "
                  f"{memory / 2**20:6.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
