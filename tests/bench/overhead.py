#!/usr/bin/env python3
"""Overhead of a stage: 2,000 trivial stages on 2 slots, each with a durable row, against GNU parallel and Snakemake doing nothing.

The providers' catalogues lie in the cache, as after any first command of a build.
"""
import shutil

import bench

TASKS = 2000


def sweep(folder, echo):
    # A trial is two stages (the method's and the metric's), so half as many trials.
    path = folder / "overhead.yaml"
    path.write_text(f"""assay: 1
name: overhead
providers: [{{command: ["{echo}"]}}]
models: {{nothing: {{family: echo, config: {{}}}}}}
trials:
  - {{model: nothing, method: {{echo: {{value: {list(range(TASKS // 2))}}}}}}}
evaluate: [{{metric: echo_value}}]
""")
    return path


def assay(options):
    with bench.scratch() as (folder, env):
        file = sweep(folder, options.echo)
        command = [options.assay, "run", file, "--jobs", 2, "--out", folder / "run", "--quiet"]
        bench.seconds([options.assay, "plan", file], env=env, cwd=folder)
        first = bench.seconds(command, env=env, cwd=folder)
        again = bench.seconds(command, env=env, cwd=folder)
    return first, again


def parallel():
    with bench.scratch() as (folder, env):
        return bench.seconds(["parallel", "--will-cite", "-j2", "--joblog", folder / "log", "true", ":::", *range(TASKS)], env=env, cwd=folder)


def snakemake(tasks):
    with bench.scratch() as (folder, env):
        (folder / "Snakefile").write_text(
            f"rule all:\n  input: expand('out/{{i}}', i=range({tasks}))\nrule one:\n  output: touch('out/{{i}}')\n  shell: 'true'\n")
        return bench.seconds(["snakemake", "-q", "-j2", "--nolock", "-s", folder / "Snakefile"], env=env, cwd=folder)


def main():
    options = bench.arguments(__doc__)
    repeat = options.repeat or 3
    ours, again, theirs = [], [], []
    for _ in range(repeat):  # interleaved, so that a busy moment hits all
        first, second = assay(options)
        ours.append(first)
        again.append(second)
        if shutil.which("parallel"):
            theirs.append(parallel())
    wall = bench.median(ours)
    print(f"assay run, 2 slots:   {1e3 * wall / TASKS:7.3f} ms a stage ({wall:.2f} s; again with nothing to do {bench.median(again):.2f} s)")
    if theirs:
        print(f"parallel --joblog -j2:{1e3 * bench.median(theirs) / TASKS:7.3f} ms a task   ratio {bench.median(theirs) / wall:.1f}")
    if shutil.which("snakemake"):
        peer = snakemake(TASKS)
        print(f"snakemake -j2:        {1e3 * peer / TASKS:7.3f} ms a task   ratio {peer / wall:.1f}")


if __name__ == "__main__":
    main()
