#!/usr/bin/env python3
"""Time and memory of `assay plan` on grids of 10,000 and 100,000 trials."""
import os
import time

import bench


def peak(command, **options):
    """Wall seconds and peak resident bytes of one command."""
    start = time.perf_counter()
    pid = os.posix_spawn(str(command[0]), [str(word) for word in command], options["env"],
                         file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{command} failed")
    return time.perf_counter() - start, usage.ru_maxrss * 1024


def main():
    options = bench.arguments(__doc__)
    for trials in (10_000, 100_000):
        with bench.scratch() as (folder, env):
            file = folder / "grid.yaml"
            file.write_text(f"""assay: 1
name: grid
providers: [{{command: ["{options.echo}"]}}]
models: {{nothing: {{family: echo, config: {{}}}}}}
trials:
  - {{model: nothing, method: {{echo: {{value: {list(range(trials // 10))}}}, echo_sleep: {{value: {list(range(trials // 10))}, seconds: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]}}}}}}
evaluate: [{{metric: echo_value}}]
""")
            command = [options.assay, "plan", file]
            peak(command, env=env)  # fills the cache of catalogues
            runs = [peak(command, env=env) for _ in range(options.repeat or 5)]
            print(f"{trials:7d} trials: {bench.median([r[0] for r in runs]):6.3f} s, {max(r[1] for r in runs) / 2**20:6.0f} MiB")


if __name__ == "__main__":
    main()
